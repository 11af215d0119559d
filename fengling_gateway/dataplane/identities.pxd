# Types for compiling identities.py; without a compiler this file has no effect.
from fengling_gateway.auth.token_cache cimport TokenCache

cdef bytes _PREFIX

cdef class Identities:
    cdef TokenCache _tokens
    cdef object _client_rows, _key_rows, _issuer_rows, _live, _snapshot, _transform, _api_keys
    cdef frozenset _configured_names, _offered_names
    cdef dict _waiting
    cdef public object want_keys
    cdef public dict refused
    cdef public long long keys_accepted, tokens_accepted
    cdef public bint is_asked_again

    cpdef verify(self, bytes proof, bint is_key, double now)
