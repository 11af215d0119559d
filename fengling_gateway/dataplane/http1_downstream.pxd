# Types for compiling http1_downstream.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.exchange cimport Exchange
from fengling_gateway.dataplane.http1_answers cimport AnswerWriter
from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead, parse_request_head

cdef long long CHUNKED, NO_BODY
cdef int _READING_HEAD, _READING_BODY, _ANSWERING, _LINGERING, _CLOSED

cdef class DownstreamConnection(AnswerWriter):
    cdef object _on_closed, _trust, _decoder
    cdef str _listener, _peer_name
    cdef bytes _peer, _scheme, _raw
    cdef Exchange _exchange
    cdef int _phase
    cdef long long _left, _served, _may_serve, _backlog
    cdef bint _is_trusted, _has_begun_head, _is_reading
    cdef bint _is_paused, _is_blocked, _is_half_closed, _stopped_reading
    cdef public double deadline

    @cython.locals(phase=int)
    cdef _read(self, bytes data)

    @cython.locals(end=Py_ssize_t)
    cdef _read_heads(self, bytes data)

    @cython.locals(plane=PlaneState, head=RequestHead, exchange=Exchange, framing=cython.longlong)
    cdef _begin(self, bytes raw)

    @cython.locals(exchange=Exchange, left=cython.longlong, rest=bytes)
    cdef _read_body(self, bytes data)

    cdef bint _is_last(self) except -1
    cpdef send_end(self, trailers)
    cpdef pause(self)
    cpdef resume(self)
