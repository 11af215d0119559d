# Types for compiling limit.py; without a compiler this file has no effect.
cdef class Limit:
    cdef readonly str id, on_failure, label
    cdef readonly long long count, window, burst
    cdef readonly int key_kind
    cdef readonly bytes key_header, left
    cdef readonly bint is_bucket, is_global, shows_headers
    cdef readonly tuple policy

cdef class ConcurrencyLimit:
    cdef readonly str id
    cdef readonly long long most
    cdef readonly int key_kind
    cdef readonly bytes key_header
