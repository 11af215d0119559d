# Types for compiling token_cache.py; without a compiler this file has no effect.
cimport cython

cdef Py_ssize_t _TAIL_BYTES

cdef class TokenCache:
    cdef dict _issuers
    cdef long long _max_refused
    cdef object _recent, _good, _bad
    cdef public long long verified

    @cython.locals(tail=bytes, digest=bytes)
    cpdef verify(self, bytes token, double now)
    cdef bint _counts(self, principal, issuer, double now) except -1
    cdef _verify(self, bytes token, bytes digest, double now)
