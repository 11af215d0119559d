# Types for compiling redaction.py; without a compiler this file has no effect.
cimport cython

cdef int _AND, _EQUALS, _SEMICOLON, _PERCENT, _PLUS

cdef long long _LENGTHS, _SHAPES

cdef inline Py_ssize_t _shape(int first, Py_ssize_t length)

cdef class Redaction:
    cdef frozenset _query
    cdef bytes _shapes
    cdef object _headers

    cpdef bytes target(self, bytes target)

    @cython.locals(place=Py_ssize_t, byte=int, is_name=bint)
    cdef bint _may_hold_some(self, bytes target, Py_ssize_t begin) except -1
