"""The supervisor: one per host, it owns the sockets and the workers.

It turns readings of the config source into deltas for its workers, tells other
hosts over Redis, and answers the management API about all of it.
"""
