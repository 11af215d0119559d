# Types for compiling requirement.py; without a compiler this file has no effect.
cdef class Requirement:
    cdef public int mode
    cdef public bint takes_tokens, takes_keys, forward, asks_more
    cdef public bytes api_key_header, cookie, query
    cdef public frozenset scopes
    cdef object _issuers
    cdef frozenset _roles
    cdef tuple _claims

    cpdef bint believes(self, principal) except -1
