# Types for compiling answer_side.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.admission cimport Admission
from fengling_gateway.dataplane.listener cimport Peer
from fengling_gateway.dataplane.request_side cimport RequestSide
from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead
from fengling_gateway.http.response_head cimport ResponseHead

cdef long long NO_BODY, TUNNEL
cdef int _ADMITTING, _QUEUED, _CONNECTING, _WAITING, _ANSWERING, _TUNNEL, _OVER

cdef class AnswerSide(RequestSide):
    @cython.locals(seconds=double)
    cdef _answer(self, int status, list pairs, bytes body)

    @cython.locals(plane=PlaneState, pairs=list)
    cpdef response_begun(self, ResponseHead response, long long framing)
    cpdef response_data(self, bytes data)

    @cython.locals(seconds=double)
    cpdef response_ended(self, list trailers)
    cpdef response_flush(self)
    cdef Admission _new_admission(self, double now)

    cpdef fail(self, error)

    @cython.locals(seconds=double)
    cdef _end_in(self, error)
    cdef _give_upstream_up(self)

    @cython.locals(plane=PlaneState, seconds=double)
    cdef double _finish(self) except? -1

    @cython.locals(plane=PlaneState, began=double)
    cdef _record(self, int status, double seconds, error)

    @cython.locals(plane=PlaneState, head=RequestHead, peer=Peer, admission=Admission)
    cdef _ended(self, int status, double seconds, error)

    cdef _trace_id(self)

    @cython.locals(began=double, end=double)
    cdef tuple _attempts(self, double seconds, error)
