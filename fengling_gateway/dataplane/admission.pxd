# Types for compiling admission.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.credentials cimport find_proof, remove_proof
from fengling_gateway.auth.requirement cimport Requirement
from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead
from fengling_gateway.routing.guards cimport Guards
from fengling_gateway.limiting.table cimport LimitTable

cdef class Admission:
    cdef PlaneState _plane
    cdef RequestHead _head
    cdef str _route_id
    cdef bytes _proof
    cdef double _now
    cdef object _principal
    cdef tuple _entered
    cdef Py_ssize_t _counted_from, _counted_to
    cdef public str tenant, refused
    cdef public object error
    cdef public int status
    cdef public bint waits
    cdef public tuple identity
    cdef public list pairs
    cdef public frozenset drops
    cdef public bytes hides

    cpdef list edited(self, list pairs)
    cpdef ask(self, Guards guards, bint is_https, Admission earlier)
    cpdef compare_tenant(self)
    cpdef leave(self)
    cdef bint _is_preflight(self, cors) except -1
    cdef _count_once(self, tuple limits, Admission earlier)
    @cython.locals(now=double, wait=double, table=LimitTable)
    cdef _count(self, tuple limits)
    cdef _enter(self, limit)
    cdef _key(self, limit)
    cdef bint _is_strangers_page(self, cors) except -1
    cdef _authorise(self, Requirement requirement, cors)
    cdef _judge(self, Requirement requirement, principal)
    cdef bint _is_of(self, str tenant) except -1
    cdef _refuse_proof(self, Requirement requirement, error)
    cdef _refuse(self, Requirement requirement, error, bytes challenge)
