# Types for compiling sweeper.py; without a compiler this file has no effect.
cdef class Sweeper:
    cdef object _clock, _swept, _call
    cdef public double now
    cdef double _swept_at
    cdef public set items
