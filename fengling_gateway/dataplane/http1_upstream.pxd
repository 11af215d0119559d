# Types for compiling http1_upstream.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.response_head cimport ResponseHead, parse_response_head

cdef long long CHUNKED, NO_BODY, UNTIL_CLOSE
cdef int _IDLE, _HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE, _CLOSED

cdef class UpstreamConnection:
    cdef PlaneState _plane
    cdef object _pool, _exchange, _transport, _connector, _decoder, _unread
    cdef public object instance
    cdef public double idle_since, deadline
    cdef public bint is_reused
    cdef int _phase
    cdef bytes _raw, _method
    cdef long long _left, _uses, _backlog
    cdef list _out
    cdef bint _keep_alive, _request_ended, _sends_chunks, _is_paused, _has_body, _is_blocked

    cpdef bint is_alive(self) except -1
    cpdef lend(self, exchange)
    cpdef discard(self)
    cpdef close(self)

    @cython.locals(out=list, pair=tuple)
    cpdef send_head(
        self, bytes method, bytes target, bytes host, list pairs, long long framing
    )
    cpdef send_data(self, bytes data)
    cpdef send_end(self, trailers)

    @cython.locals(data=bytes)
    cpdef flush(self)

    cpdef abort(self)
    cpdef pause(self)
    cpdef resume(self)

    @cython.locals(data=bytes)
    cdef _read(self, bytes data)

    @cython.locals(head=ResponseHead, end=Py_ssize_t)
    cdef bytes _read_heads(self, exchange, bytes data)

    @cython.locals(framing=cython.longlong)
    cdef _begin_body(self, exchange, ResponseHead head)

    cdef _ended(self, exchange)
    cdef _part(self)
    cdef bint _has_unsent(self) except -1
    cdef _tell_end(self, exchange)
