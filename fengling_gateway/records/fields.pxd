# Types for compiling fields.py; without a compiler this file has no effect.
cimport cython

@cython.locals(microseconds=cython.longlong)
cpdef str milliseconds(double seconds)
