"""The rules of HTTP/1.1, one test each, against a data plane in a process of its own.

`docs/conformance.md` says which rule comes from where; `test_the_list` keeps it complete.
"""
