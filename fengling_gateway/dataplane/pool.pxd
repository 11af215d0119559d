# Types for compiling pool.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.counters cimport PoolCounts
from fengling_gateway.dataplane.http1_upstream cimport UpstreamConnection
from fengling_gateway.dataplane.state cimport PlaneState

cdef class UpstreamPool:
    cdef object _instance, _queue
    cdef PlaneState _plane
    cdef PoolCounts _counts
    cdef str _service_id
    cdef list _idle
    cdef dict _dialing
    cdef public int size

    cpdef bint is_crowded(self) except -1

    @cython.locals(connection=UpstreamConnection, idle=list)
    cpdef UpstreamConnection take_idle(self, exchange)

    cpdef connect(self, exchange)
    cpdef release(self, UpstreamConnection connection)
