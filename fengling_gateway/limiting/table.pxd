# Types for compiling table.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.limiting.limit cimport Limit

cdef class LimitTable:
    cdef long long _workers, _max_keys, _shared, _forgotten, _most_each, _known, _known_before
    cdef dict _counts, _under_way
    cdef list _unaged
    cdef public object ledger
    cdef public long long local_allowed, local_refused, global_allowed, global_refused

    @cython.locals(wait=double)
    cpdef double take(self, Limit limit, bytes key, double now) except? -2.0
    @cython.locals(longest=double, wait=double)
    cpdef double take_all(self, limits, keys, double now) except? -2.0
    cdef _decided(self, Limit limit, double wait)
    cpdef list pairs(self, limits, keys, double now)
    cdef list _pairs_of_one(self, Limit limit, bytes key, double now)
    cdef _begin(self, Limit limit, double now)
    cdef _new_counts(self, Limit limit, long long workers, int most_debt, double now)
