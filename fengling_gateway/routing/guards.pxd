# Types for compiling guards.py; without a compiler this file has no effect.
from fengling_gateway.auth.requirement cimport Requirement

cdef class Guards:
    cdef public object access, cors, concurrency
    cdef public Requirement requirement
    cdef public tuple early_limits, late_limits, https_pairs
