# Types for compiling recipients.py; without a compiler this file has no effect.
cimport cython

cdef class Recipients:
    cdef object _state
    cdef dict _wanted
    cdef tuple _of_all, _of_some

    @cython.locals(slower_than=double, has_failed=bint)
    cpdef _tell(self, one)
