"""The newest exchanges that failed or were slow, bounded in number and bytes. Pure."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

OVERHEAD_BYTES: Final = 700
"""What an exchange takes besides its document: its `Kept`, and the texts in it."""

COUNTED_SECONDS: Final = 10
COUNTED_SPANS: Final = 360
"""What was left out is counted in spans of 10 s, of which there are those of an hour."""


class Kept(NamedTuple):
    """
    An exchange that is kept: what is asked for, and all of it as JSON.

    Attributes:
        number: increases by one with each that has come.
        instances: that were asked, by their ids.
    """

    number: int
    at: float
    kind: str
    request_id: str
    status: int
    error: str | None
    route: str | None
    service: str | None
    tenant: str | None
    instances: tuple[str, ...]
    json: bytes

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.json)
        return found


class Ring:
    """
    Keeps the newest exchanges, and counts what was left out.

    Args:
        most: exchanges that are kept.
        most_bytes: that they take, about.

    Attributes:
        bytes: that they take, about.
        told: exchanges that have come.
        pushed_out: exchanges that newer ones have pushed out.
    """

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: deque[Kept] = deque()
        self._left_out: deque[tuple[int, Counter[str]]] = deque(maxlen=COUNTED_SPANS)
        self.bytes = 0
        self.told = 0
        self.pushed_out = 0

    def __repr__(self) -> str:
        return f"<Ring {len(self._kept)} of {self.told}, {self.bytes} bytes>"

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, document: Mapping[str, Any]) -> Kept:
        """Keep an exchange, as `records.plain.to_json` has it with its ``kind``."""
        self.told += 1
        one = _kept(self.told, document)
        self._kept.append(one)
        self.bytes += _size(one)
        while len(self._kept) > self._most or self.bytes > self._most_bytes:
            self.bytes -= _size(self._kept.popleft())
            self.pushed_out += 1
        return one

    def leave_out(self, counts: Mapping[str, int], at: float) -> None:
        """Count exchanges that nobody has kept, by error or kind."""
        span = int(at / COUNTED_SECONDS)
        if not self._left_out or self._left_out[-1][0] < span:
            self._left_out.append((span, Counter()))
        self._left_out[-1][1].update(counts)

    def left_out(self, since: float) -> Counter[str]:
        """Return how many were left out after a time, as far as an hour back, by error or kind."""
        found: Counter[str] = Counter()
        for span, counts in self._left_out:
            if (span + 1) * COUNTED_SECONDS > since:
                found.update(counts)
        return found

    def newest_first(self) -> list[Kept]:
        """Return what is kept, in a list of the caller's own."""
        return list(reversed(self._kept))

    def values(self) -> dict[str, Any]:
        """Return what there is to say of it as a whole."""
        return {
            "kept": len(self._kept),
            "most": self._most,
            "bytes": self.bytes,
            "most_bytes": self._most_bytes,
            "told": self.told,
            "pushed_out": self.pushed_out,
            "oldest_at": self._kept[0].at if self._kept else None,
        }


def _size(one: Kept) -> int:
    return len(one.json) + OVERHEAD_BYTES


def _kept(number: int, document: Mapping[str, Any]) -> Kept:
    return Kept(
        number=number,
        at=document["at"],
        kind=document["kind"],
        request_id=document["request_id"],
        status=document["status"],
        error=document["error"],
        route=document["route"],
        service=document["service"],
        tenant=document["tenant"],
        instances=_instances(document["attempts"]),
        json=json.dumps(document, separators=(",", ":")).encode(),
    )


def _instances(attempts: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one["instance"] for one in attempts))
