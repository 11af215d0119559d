"""The gateway's own API: what it serves, and how to make it look again.

It listens apart from the traffic, every path under it needs a token, and it
changes no configuration: that is what the database is for.
"""
