"""The data plane: what a request passes through, from accept to keep-alive.

Only `http1_downstream` and `http1_upstream` know bytes and transports; an
`Exchange` talks to them through the interface of `streams`.
"""
