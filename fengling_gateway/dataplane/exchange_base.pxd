# Types for compiling exchange_base.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.admission cimport Admission
from fengling_gateway.dataplane.listener cimport Peer
from fengling_gateway.dataplane.pool cimport UpstreamPool
from fengling_gateway.dataplane.state cimport PlaneState, Revision
from fengling_gateway.http.head cimport RequestHead

cdef long long NO_BODY
cdef int _ROUTING, _SENDING, _WAITING, _ANSWERING

cdef class ExchangeBase:
    cdef PlaneState _plane
    cdef Revision _revision
    cdef public object downstream, instance
    cdef public RequestHead head
    cdef public bytes request_id
    cdef public bint is_request_ended
    cdef public int status
    cdef Peer _peer
    cdef str _route_id, _route_path, _service_id, _tenant
    cdef list _trace_pairs
    cdef object _traced
    cdef Admission _admission
    cdef object _plan, _service, _upstream
    cdef UpstreamPool _pool
    cdef int _phase, _attempts_left, _interims
    cdef long long _received, _sent
    cdef object _asked
    cdef list _tried
    cdef list _held, _trailers
    cdef bytes _upgrade
    cdef object _tunnel
    cdef bint _has_retried_fresh, _was_busy, _is_downstream_blocked, _is_upstream_blocked
    cdef double _total_deadline, _phase_deadline, _body_due, _started
    cdef double _attempt_at, _connected_at, _first_byte_at
    cdef long long _body_counted
    cdef bint _was_held_up, _is_waiting_for_body

    cpdef fail(self, error)
    cdef _end_in(self, error)

    @cython.locals(deadline=double)
    cpdef arm(self, double seconds)

    @cython.locals(total=double, due=double)
    cdef _settle_deadline(self, double deadline)
    cdef _watch_body(self)
    cdef _judge_body(self)
    cdef bint _awaits_continue(self) except -1
    cdef _arm_first_byte(self)
    cdef _arm_idle(self)
    cdef _arm_progress(self)
