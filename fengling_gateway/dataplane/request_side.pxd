# Types for compiling request_side.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.exchange_base cimport ExchangeBase
from fengling_gateway.dataplane.pool cimport UpstreamPool
from fengling_gateway.http.head cimport RequestHead

cdef long long CHUNKED
cdef int _QUEUED, _CONNECTING, _SENDING, _WAITING, _OVER

cdef class RequestSide(ExchangeBase):
    cdef bint _waits_for_body(self) except -1
    cdef _body_suffices(self)
    cdef _hold(self, bytes data)
    cdef _body_begins(self)

    @cython.locals(pool=UpstreamPool)
    cdef _attempt(self, instance, bint must_be_fresh)

    @cython.locals(head=RequestHead)
    cpdef connected(self, upstream)

    cdef bytes _host_upstream(self)

    @cython.locals(head=RequestHead, pairs=list)
    cdef list _request_pairs(self)

    cpdef request_data(self, bytes data)
    cpdef request_ended(self, list trailers)
    cpdef request_flush(self)
