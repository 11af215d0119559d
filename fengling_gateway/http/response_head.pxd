# Types for compiling response_head.py; without a compiler this file has no effect.
cimport cython

cdef int _DROP, _CONTENT_LENGTH, _TRANSFER_ENCODING, _CONNECTION, _DATE
cdef int _KEEP_ALIVE, _TRAILER, _UPGRADE
cdef dict _ROLES

cdef class ResponseHead:
    cdef public list headers, forward
    cdef public long long content_length, idle_seconds
    cdef public bint chunked, keep_alive, has_date
    cdef public int minor, status
    cdef public bytes reason, connection, trailer, upgrade

    cpdef on_header(self, bytes name, bytes value)

@cython.locals(head=ResponseHead, version=bytes)
cpdef ResponseHead parse_response_head(bytes raw, limits)

cdef bytes _reason(bytes raw)

@cython.locals(forward=list, pair=tuple)
cdef _sort_headers(ResponseHead head)

cdef _take_content_length(ResponseHead head, bytes value)
cdef _take_special(ResponseHead head, int role, bytes value)

@cython.locals(connection=bytes)
cdef _settle_connection(ResponseHead head)
