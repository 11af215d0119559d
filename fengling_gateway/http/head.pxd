# Types for compiling head.py; without a compiler this file has no effect.
cimport cython

cdef int _DROP, _HOST, _CONTENT_LENGTH, _TRANSFER_ENCODING, _CONNECTION
cdef int _PERCENT, _BACKSLASH, _DOT, _SEMICOLON, _HASH, _UNDERSCORE

cdef class RequestHead:
    cdef public str listener, peer
    cdef public bint is_trusted, keep_alive, expects_continue, takes_trailers, has_encoded_slash
    cdef public list headers, forward
    cdef dict _by_name
    cdef public bytes method, target, path, query, host, host_header, connection, upgrade, trailer, via
    cdef public bytes authorization, debug, preflight, said_tenant, traceparent
    cdef public tuple tracestate
    cdef public bytes forwarded_for, forwarded_proto, forwarded_host, request_id
    cdef public long long framing
    cdef public int minor

    cpdef on_header(self, bytes name, bytes value)

@cython.locals(raw=bytes, head=RequestHead)
cpdef parse_request_head(bytes raw, RequestHead head, dict roles, limits)

@cython.locals(line=list, rest=bytes, version=bytes)
cdef _take_first_line(bytes raw, RequestHead head)

@cython.locals(forward=list, pair=tuple, lower=bytes)
cdef _sort_headers(RequestHead head, dict roles, bint has_underscore)

cdef _take_special(RequestHead head, int role, tuple pair)

@cython.locals(target=bytes, host=bytes, path=bytes)
cdef _settle_target(RequestHead head)

@cython.locals(connection=bytes)
cdef _settle_connection(RequestHead head)
