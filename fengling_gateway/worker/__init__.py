"""What a worker process does besides serving requests.

It keeps its half of the control channel, applies deltas to the data plane,
listens for announcements on Redis, and hands its sockets on when the
supervisor is gone. `fengling_gateway.tap.worker` puts it together.
"""
