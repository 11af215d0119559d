# Types for compiling token_bucket.py; without a compiler this file has no effect.
cimport cython

cdef class TokenBuckets:
    cdef double _interval, _most, _origin, _slack, _whole
    cdef long long _full
    cdef public object keys

    @cython.locals(full_at=double, wait=double)
    cpdef double take(self, bytes key, double now) except? -1.0
    @cython.locals(full_at=double, debt=double, interval=double, next_in=double, tokens="long long")
    cpdef tuple left(self, bytes key, double now)
    @cython.locals(longest=double)
    cdef double _bounded(self, double wait, bytes key, double now) except? -1.0
