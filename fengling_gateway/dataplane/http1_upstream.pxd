# Types for compiling http1_upstream.py; without a compiler this file has no effect.
from fengling_gateway.dataplane.http1_answer_reader cimport AnswerReader

cdef int _IDLE, _HEAD, _UNTIL_CLOSE, _TUNNEL, _CLOSED
cdef list NO_PAIRS

cdef class UpstreamConnection(AnswerReader):
    cdef object _pool, _connector, _unread, _is_quiet
    cdef public object instance
    cdef public double idle_until, deadline
    cdef long long _uses, _backlog
    cdef bint _is_paused
    cdef public bint is_counted

    cpdef bint is_alive(self) except -1
    cpdef lend(self, exchange)
    cdef _part(self)
    cdef double _idle_timeout(self) except? -1
    cdef bint _has_unsent(self) except -1
    cdef _said_unasked(self)
    cpdef discard(self)
    cpdef close(self)
    cpdef abort(self)
    cpdef pause(self)
    cpdef resume(self)
