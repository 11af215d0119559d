"""Settings that say for patterns of namespaces what these may have: ``shop=acme,acme-eu``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from fengling_gateway.model.checks import Check
from fengling_gateway.model.problems import Report
from fengling_gateway.settings.values import HIDDEN, may_hold_secret, refuse, shown_unless_secret

NAMESPACES: Final = re.compile(r"[a-z0-9*?-]{1,63}")
"""A pattern of names of namespaces."""

ANY: Final = "*"

Lists = tuple[tuple[str, tuple[str, ...]], ...]


def check_lists(value: Iterable[str], check: Check, wanted: str) -> None:
    """
    Args:
        check: judges one of the values; ``*`` is always right.
        wanted: what is asked for, with an example.

    Raises:
        Refused: one of the lists is none.
    """
    for one in value:
        pattern, listed = _split(one)
        if NAMESPACES.fullmatch(pattern) is None or not listed:
            raise refuse("malformed", f"must be {wanted}, not {shown_unless_secret(one)}")
        for part in listed:
            report = Report()
            if part != ANY:
                check(part, report)
            for _, code, message in report.found:
                about = f"must not be {HIDDEN}" if may_hold_secret(one) else message
                raise refuse(code, f"must be {wanted}; what {pattern} may have {about}")


def read_lists(value: Iterable[str], check: Check) -> Lists:
    """Return lists that are right, with each value in its canonical form."""
    split = map(_split, value)
    return tuple(
        (pattern, tuple(one if one == ANY else check(one, Report()) for one in listed))
        for pattern, listed in split
    )


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    pattern, sign, listed = text.partition("=")
    return pattern.strip(), tuple(one.strip() for one in listed.split(",")) if sign else ()
