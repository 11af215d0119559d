# Types for compiling tls_transport.py; without a compiler this file has no effect.

cdef class Terms:
    cdef public object context, server_hostname
    cdef public bint hold

cdef class TlsTransport:
    cdef object _broke, _build, _failed, _poll, _protocol
    cdef object _tls, _transport
    cdef Terms _terms
    cdef Py_ssize_t _answered_bytes
    cdef bint _can_write, _has_ended, _is_new, _is_open
    cdef public bint has_heard, was_refused, was_truncated

    cpdef write(self, data)
    cpdef bint is_quiet(self) except -1
    cdef bytes _shake_hands(self, data)
    cdef _tell_failure(self, failure)
    cdef _read(self, data)
    cdef _decrypt(self, data, list pieces)
    cdef _break_off(self, failure)
    cdef _ended(self)
    cdef _say_the_end(self)
    cdef _flush(self)
