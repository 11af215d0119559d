"""The control channel: what the supervisor and one worker say to each other.

It runs over an inherited socketpair, or between two objects in one process.
Both ends of the conversation are elsewhere: `fengling_gateway.supervisor` and
`fengling_gateway.worker`.
"""
