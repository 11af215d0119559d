# Types for compiling credentials.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.auth.requirement cimport Requirement
from fengling_gateway.http.head cimport RequestHead

cdef bytes _AUTHORIZATION, _BEARER, _PREFIX

cpdef bytes bearer(bytes authorization)
cdef bint _is_bearer(bytes authorization) except -1

cpdef bytes find_proof(RequestHead head, Requirement requirement)

@cython.locals(authorization=bytes, kept=list, pair=tuple, name=bytes, key_name=bytes)
@cython.locals(length=Py_ssize_t, is_shown=bint)
cpdef remove_proof(RequestHead head, Requirement requirement)
