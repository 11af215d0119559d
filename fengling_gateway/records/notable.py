"""Which exchanges somebody may ask about later: those that failed, and those that were slow. Pure."""

from __future__ import annotations

from typing import Final

from fengling_gateway.records.ended import Ended

FAILED, ANSWERED, SLOW = KINDS = ("failed", "answered", "slow")
"""
Why an exchange is kept: the gateway has a name for what went wrong (`ForwardError`), an instance
has answered with a status of 500 or more, or the answer's first byte was long in coming.
"""

SERVER_ERROR: Final = 500


def kind_of(one: Ended, slower_than: float) -> str | None:
    """
    Return why an exchange is kept; None: it is not.

    Args:
        slower_than: seconds, as of `waited`.
    """
    if one.error is not None:
        return FAILED
    if one.status >= SERVER_ERROR and one.attempts:
        return ANSWERED
    return SLOW if waited(one) >= slower_than else None


def waited(one: Ended) -> float:
    """
    Return the seconds until the first byte of an answer.

    Not until its end: tunnels and streams last as long as they are wanted, and how long a client
    takes for a large answer is its own business.
    """
    if not one.attempts:
        return one.seconds
    last = one.attempts[-1]
    return one.seconds if last.seconds is None else last.began + last.seconds
