# Types for compiling sampling.py; without a compiler this file has no effect.

cdef class Traced:
    cdef public bytes trace_id, span_id, parent_id, state

cdef class Sampler:
    cdef int _ahead
    cdef bytes _bound, _format
    cdef object _bits, _ids_of, _values_of
    cdef list _ready

    cdef tuple _root(self, bint is_forced)
    cdef list _roots(self)
    cdef bytes _new_span_id(self)
