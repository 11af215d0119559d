# Types for compiling http1_request_reader.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.exchange cimport Exchange
from fengling_gateway.dataplane.http1_answer_writer cimport AnswerWriter
from fengling_gateway.dataplane.listener cimport Listener, Peer
from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead, parse_request_head

cdef long long CHUNKED, NO_BODY
cdef int _READING_HEAD, _READING_BODY, _ANSWERING, _TUNNEL, _LINGERING, _CLOSED

cdef class RequestReader(AnswerWriter):
    cdef object _decoder, _tunnel
    cdef Peer _peer
    cdef bytes _raw
    cdef Exchange _exchange
    cdef int _phase
    cdef long long _left, _served, _may_serve
    cdef bint _has_begun_head, _is_reading
    cdef bint _is_paused, _is_blocked, _is_half_closed, _stopped_reading
    cdef public double deadline
    cdef double _expires

    cdef _internal_error(self)
    cdef _close_half_closed(self)

    @cython.locals(phase=int)
    cdef _read(self, bytes data)

    cdef _keep(self, bytes data)
    cdef _read_kept(self)

    @cython.locals(end=Py_ssize_t)
    cdef _read_heads(self, bytes data)

    @cython.locals(
        plane=PlaneState, peer=Peer, listener=Listener, head=RequestHead, exchange=Exchange,
        framing=cython.longlong,
    )
    cdef _begin(self, bytes raw)

    @cython.locals(exchange=Exchange, left=cython.longlong, rest=bytes)
    cdef _read_body(self, bytes data)

    cdef _update_reading(self)
    cpdef pause(self)
    cpdef resume(self)
