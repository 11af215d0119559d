# Types for compiling counters.py; without a compiler this file has no effect.
cimport cython

cdef class Histogram:
    cdef readonly tuple bounds
    cdef public list buckets
    cdef public double sum

    cpdef add(self, double value)

cdef class PoolCounts:
    cdef public long long connecting, idle, size, waiting
    cdef public bint is_used

cdef class ServiceCounts:
    cdef public Histogram first_byte, latency, received, sent
    cdef public PoolCounts pools

cdef class RouteCounts:
    cdef public list by_class
    cdef public dict errors
    cdef public ServiceCounts service

cdef class Counters:
    cdef public long long bytes_received, bytes_sent, connections_accepted, connections_now
    cdef public long long connections_refused, in_flight_now, retries
    cdef public long long upstream_bytes_received, upstream_bytes_sent, upstream_connects
    cdef public long long upstream_connects_failed, upstream_connections_now
    cdef public long long upstream_discarded, upstream_queued_now, upstream_reused
    cdef public long long proxy_headers_refused, tls_certificates_failed, tls_handshakes
    cdef public long long upstream_addresses_refused, upstream_tls_failed
    cdef public long long access_log_dropped, access_log_lines
    cdef public long long accept_pauses, connections_shed, descriptors_short
    cdef public long long memory_limit_now, memory_now, opening_now, overload_now
    cdef public long long health_stale_now, instances_off_now, routes_off_now
    cdef public long long debug_headers_refused, debugged
    cdef public long long ejected_now, ejections, reactivations
    cdef public long long dns_lookups, dns_lookups_failed, dns_stale_uses
    cdef public dict routes, tls_handshakes_failed
    cdef dict _others, _services
    cdef set _folded, _late
    cdef long long _max_pairs, _max_services

    @cython.locals(counts=RouteCounts, service=ServiceCounts)
    cpdef record(
        self,
        tuple key,
        int status,
        double seconds,
        error,
        double first_byte=*,
        long long received=*,
        long long sent=*,
    )
    cdef RouteCounts _new_counts(self, tuple key)
    cdef ServiceCounts _service_counts(self, str service)
