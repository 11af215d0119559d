# Types for compiling token_cache.py; without a compiler this file has no effect.
cimport cython

cdef class TokenCache:
    cdef dict _issuers
    cdef long long _max_refused
    cdef object _recent, _good, _bad
    cdef public long long verified

    @cython.locals(tail=bytes, recent=tuple)
    cpdef verify(self, bytes token, double now)
    cdef bint _counts(self, principal, issuer, double now) except -1
