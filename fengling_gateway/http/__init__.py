"""The rules of HTTP/1.1 as a gateway needs them: heads, framing, forwarded headers, failures.

Pure: bytes and values in, bytes and values out. Connections, time and
transports are the data plane's.
"""
