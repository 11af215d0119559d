# Types for compiling listener.py; without a compiler this file has no effect.
from fengling_gateway.dataplane.state cimport PlaneState

cdef class Listener:
    cdef public str name
    cdef public bytes scheme
    cdef public object limits, rarely, tls
    cdef list _balancers
    cdef public double header_deadline, keepalive_idle, keepalive_age, body_grace
    cdef public long long keepalive_requests, min_body_bytes

cdef class Peer:
    cdef public Listener listener
    cdef public str name
    cdef public bytes address
    cdef public tuple pairs
    # (A named tuple, or None: no exact tuple.)
    cdef public object tls
    cdef object _trust
    cdef bint _is_trusted

    cpdef bint is_trusted(self, PlaneState plane) except -1
