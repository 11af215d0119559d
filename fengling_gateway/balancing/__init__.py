"""Choosing one of several: an instance of a service, a service of a split.

Pure: no Twisted, no I/O, no clock; randomness is passed in. Everything here is
compiled when configuration changes. On the request path a choice is one call
that allocates next to nothing, takes no lock and asks nobody outside the
process.
"""
