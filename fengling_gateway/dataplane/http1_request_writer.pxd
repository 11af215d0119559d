# Types for compiling http1_request_writer.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.state cimport PlaneState

cdef long long CHUNKED, NO_BODY

cdef class RequestWriter:
    cdef PlaneState _plane
    cdef object _transport
    cdef bytes _method
    cdef list _out
    cdef bint _has_body, _request_ended, _sends_chunks

    @cython.locals(out=list, pair=tuple)
    cpdef send_head(
        self, bytes method, bytes target, bytes host, list pairs, long long framing
    )
    cpdef send_data(self, bytes data)
    cpdef send_end(self, trailers)

    @cython.locals(data=bytes)
    cpdef flush(self)
