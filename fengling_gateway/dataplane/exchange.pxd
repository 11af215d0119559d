# Types for compiling exchange.py; without a compiler this file has no effect.
cimport cython

from fengling_gateway.dataplane.admission cimport Admission
from fengling_gateway.dataplane.answer_side cimport AnswerSide
from fengling_gateway.dataplane.state cimport PlaneState
from fengling_gateway.http.head cimport RequestHead

cdef int _ROUTING, _ADMITTING

cdef class Exchange(AnswerSide):
    cpdef begin(self)

    @cython.locals(plane=PlaneState, head=RequestHead)
    cdef _choose(self, bint may_wait, Admission earlier)

    @cython.locals(plane=PlaneState, head=RequestHead, admission=Admission, now=double)
    cdef _ask_guards(self, bint may_wait, Admission earlier)

    @cython.locals(plane=PlaneState, head=RequestHead)
    cdef _proceed(self)
