# Types for compiling record_keeping.py; without a compiler this file has no effect.
cimport cython

cdef class AccessLog:
    cdef object _filter, _line, _write
    cdef list _block
    cdef long long _bytes
    cdef readonly long long lines

    @cython.locals(line=bytes)
    cpdef ended(self, one)
    cpdef flush(self)
