# Types for compiling http1_answer_writer.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead

cdef long long NO_BODY, TUNNEL

cdef class AnswerWriter:
    cdef PlaneState _plane
    cdef object _transport
    cdef RequestHead _head
    cdef list _out
    cdef bint _has_sent, _chunks_out, _close_after

    cdef bint _is_last(self) except -1

    @cython.locals(out=list, head=RequestHead, pair=tuple)
    cpdef send_head(self, int status, bytes reason, list pairs, long long framing)
    cpdef send_data(self, bytes data)

    @cython.locals(data=bytes)
    cpdef flush(self)
    cpdef retract(self)
