# Types for compiling http1_downstream.py; without a compiler this file has no effect.
from fengling_gateway.dataplane.http1_request_reader cimport RequestReader

cdef int _READING_HEAD, _READING_BODY, _ANSWERING, _TUNNEL, _LINGERING, _CLOSED

cdef class DownstreamConnection(RequestReader):
    cdef object _on_closed
    cdef long long _backlog

    cdef _internal_error(self)
    cdef _close_half_closed(self)
    cdef bint _is_last(self) except -1
    cpdef send_end(self, trailers)
