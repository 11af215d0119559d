# Types for compiling debugged_exchange.py; without a compiler this file has no effect.
from fengling_gateway.dataplane.answer_side cimport AnswerSide
from fengling_gateway.dataplane.exchange cimport Exchange
from fengling_gateway.dataplane.request_side cimport RequestSide
from fengling_gateway.dataplane.state cimport PlaneState, Revision
from fengling_gateway.http.response_head cimport ResponseHead

cdef class DebuggedExchange(Exchange):
    cdef list _extra
    cdef object _debug_id
    cdef double _answered_at, _chosen_at, _dialed_at, _sends_at

    cpdef connected(self, upstream)
    cpdef response_begun(self, ResponseHead response, long long framing)
    cdef _answer(self, int status, list pairs, bytes body)
    cdef _end_in(self, error)
