"""What an operation on the bus fails with."""

from __future__ import annotations


class BusError(Exception):
    """
    An operation did not happen, or nobody knows whether it did.

    Redis is away, too slow, or refused it. Nothing is ever broken by it: the
    caller says so in its answer, or tries again later.
    """
