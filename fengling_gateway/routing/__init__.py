"""Which route takes a request, and the compiled configuration that it is served by.

Pure: no Twisted, no I/O, no clock. ``docs/routing.md`` is for who writes routes.
"""
