# Types for compiling http1_answer_reader.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.http1_request_writer cimport RequestWriter
from fengling_gateway.http.response_head cimport ResponseHead, parse_response_head

cdef long long CHUNKED, UNTIL_CLOSE
cdef int _IDLE, _HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE, _TUNNEL, _CLOSED
cdef list NO_PAIRS

cdef class AnswerReader(RequestWriter):
    cdef object _exchange, _decoder, _tunnel
    cdef int _phase
    cdef bytes _raw
    cdef long long _left, _idle_seconds
    cdef bint _keep_alive, _is_blocked
    cdef public bint is_reused

    cpdef discard(self)
    cdef _said_unasked(self)
    cdef _part(self)

    @cython.locals(data=bytes)
    cdef _read(self, bytes data)

    cdef _read_body(self, exchange, bytes data)

    @cython.locals(head=ResponseHead, end=Py_ssize_t)
    cdef bytes _read_heads(self, exchange, bytes data)

    @cython.locals(framing=cython.longlong)
    cdef _begin_body(self, exchange, ResponseHead head)

    cdef _ended(self, exchange)
    cdef _tell_end(self, exchange, list trailers)
    cdef _fail(self, error)
