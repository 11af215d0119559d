"""The values that configuration is made of.

Pure: no Twisted, no I/O. What a value means on the wire or in the database is
decided here; where it is stored or sent is decided elsewhere.
"""
