"""Traces of requests: the context they come with, whether they are recorded, and their spans.

Pure: bytes and values in, bytes and values out. Nothing here knows OpenTelemetry's
libraries, and neither does a worker; the supervisor encodes and sends spans.
"""
