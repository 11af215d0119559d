# Types for compiling lean_epoll.py; without a compiler this file has no effect.
cimport cython

cdef int _IN, _OUT

@cython.locals(fd=object, event=int, selectable=object)
cdef _dispatch(reactor, dict selectables, list events)
