# Types for compiling state.py; without a compiler this file has no effect.
from fengling_gateway.dataplane.counters cimport Counters
from fengling_gateway.dataplane.identities cimport Identities
from fengling_gateway.dataplane.sweeper cimport Sweeper

cdef class Revision:
    cdef public list extra_pairs
    cdef public bytes tenant_header
    cdef public object number

cdef class PlaneState:
    cdef public object availability, settings, rng, debug_id_in, dial, limit_table, limits, passive, seconds, snapshot, tell_ended, tracing
    cdef public str worker_name
    cdef public bytes pseudonym
    cdef public Counters counters
    cdef public Identities identities
    cdef public Sweeper sweeper
    cdef public bint counts_requests, is_draining, is_shedding
    cdef public long long max_upstream
    cdef public set pools
    cdef public double tells_slower_than, wall
    cdef public tuple date, trust, via, via_1_0
    cdef public Revision revision
    cdef public dict roles, tunnels
    cdef object _wall_clock, _look, _identity
    cdef dict _chains
    cdef list _unchecked
    cdef bytes _request_prefix
    cdef long long _next_request

    cpdef bytes new_request_id(self)
    cpdef double wall_now(self) except? -1
