"""The kinds of requests that there are, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

STATUSES = (200, 200, 200, 201, 204, 206, 302, 304, 400, 403, 404, 410, 418, 500, 503, 599, 777)
SIZES = (0, 1, 5, 100, 300, 1024, 5000, 20_000, 70_000)

TOKEN_LENGTH = 43
LIMITED_BODY = 30_000
"""What /small takes of a body."""


@dataclass(frozen=True)
class Planned:
    """
    A request to be made.

    Attributes:
        does: what the instance is to do.
        chunks: of the body; None for none.
        is_chunked: whether it has no length.
        leaves: where the client goes: ``waiting`` for the answer, ``reading`` it, or ``sending``
            its body. ``resets``: whether it breaks its connection off, or only ends its side.
        waits: whether the body waits for a 100.
        pauses: whether what follows the first piece waits for the instance to have the head.
        raw: instead of all that, what is sent, which is no good request.
    """

    kind: str
    path: str
    method: str = "GET"
    does: str = "answer 200 5 length"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] | None = None
    is_chunked: bool = False
    keeps: bool = True
    minor: int = 1
    leaves: str = ""
    resets: bool = True
    waits: bool = False
    pauses: bool = False
    tunnel: int = 0
    raw: bytes = b""

    @property
    def body_bytes(self) -> int:
        return sum(map(len, self.chunks or ()))


Make = Callable[[Random], dict[str, Any]]


def _get(path: str, does: str, **more: Any) -> Make:
    return lambda _: {"path": path, "does": does, **more}


def _answered(rng: Random) -> dict[str, Any]:
    framing = rng.choice(("length", "length", "chunked", "close"))
    return {
        "path": rng.choice(("/d/a", "/d/b/c?q=1", "/split")),
        "method": rng.choice(("GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS")),
        "does": f"answer {rng.choice(STATUSES)} {rng.choice(SIZES)} {framing}",
        "minor": rng.choice((1, 1, 1, 1, 0)),
    }


def _posted(rng: Random) -> dict[str, Any]:
    chunks = [b"b" * rng.choice(SIZES) for _ in range(rng.choice((1, 1, 3)))]
    return {
        "path": "/d/post",
        "method": rng.choice(("POST", "PUT", "PATCH", "GET")),
        "does": f"answer {rng.choice(STATUSES)} {rng.choice(SIZES)} length",
        "chunks": tuple(one for one in chunks if one),
        "is_chunked": rng.random() < 0.5,
        "waits": rng.random() < 0.1,
    }


def _early(rng: Random) -> dict[str, Any]:
    chunks = tuple(b"e" * 5000 for _ in range(rng.choice((1, 10))))
    return {"path": "/d/early", "method": "POST", "does": "early 200 7 length", "chunks": chunks}


def _own(rng: Random) -> dict[str, Any]:
    path = rng.choice(("/hello", "/empty", "/old", "/nowhere", "/none"))
    return {"path": path, "method": rng.choice(("GET", "HEAD", "GET"))}


def _refused(rng: Random) -> dict[str, Any]:
    """Let in, asked for credentials, refused for bad ones, or for too many requests."""
    path = rng.choice(("/private", "/limited", "/limited/own"))
    said = rng.choice(({}, {"X-Api-Key": "nonsense"}, {"X-Api-Key": "{key}"}))
    return {"path": path, "headers": said}


def _retried(rng: Random) -> dict[str, Any]:
    path, does = rng.choice(
        (
            *(("/half", "answer 200 50 length"), ("/dead", "")),
            *(("/d/kept", "close_kept"), ("/d/closed", "close")),
        )
    )
    return {"path": path, "does": does, "method": rng.choice(("GET", "GET", "POST"))}


def _broken(rng: Random) -> dict[str, Any]:
    framing = rng.choice(("length", "chunked"))
    does = rng.choice((f"cut {rng.choice(SIZES)} {framing}", "garbage", "interim 200 20 length"))
    return {"path": "/d/broken", "does": does}


def _slow(rng: Random) -> dict[str, Any]:
    path, does = rng.choice(
        (
            *(("/slow", "hold"), ("/slow/total", "hold")),
            *(("/slow", "held 300 length"), ("/slow", "held 300 chunked")),
        )
    )
    return {"path": path, "does": does}


def _left(rng: Random) -> dict[str, Any]:
    where, resets = rng.choice(("waiting", "reading", "sending")), rng.random() < 0.6
    if where == "reading":
        return {"path": "/d/left", "does": "held 3000 length", "leaves": where}
    if where == "waiting":
        path = "/d/left" if resets else "/slow"  # else nobody sees that it has left
        return {"path": path, "does": "hold", "leaves": where, "resets": resets}
    chunks = (b"l" * 2000, b"l" * 2000)
    more = {"chunks": chunks, "is_chunked": rng.random() < 0.5, "resets": resets}
    return {"path": "/d/left", "method": "POST", "does": "hold", "leaves": where, **more}


def _tunnelled(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.2:
        return {"path": "/d/upgrade", "headers": {"Connection": "Upgrade", "Upgrade": "echo"}}
    return {"path": "/tunnel", "does": "tunnel", "tunnel": rng.choice((1, 3000))}


def _too_large(rng: Random) -> dict[str, Any]:
    chunked = rng.random() < 0.5  # else it is known from the head
    body = {"chunks": tuple(b"t" * 8000 for _ in range(5)), "is_chunked": chunked}
    return {"path": "/small", "method": "POST", **body, "pauses": chunked}


MALFORMED = (
    b"GET /x\r\n\r\n",
    b"GET /x HTTP/1.1\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"get /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD http:// HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\r\n\r\n",
)


def _malformed(rng: Random) -> dict[str, Any]:
    return {"path": "", "raw": rng.choice(MALFORMED)}


def _half(rng: Random) -> dict[str, Any]:
    """Begin a head, and end."""
    return {"path": "", "raw": b"GET /x HTTP/1.1\r\nHost:", "leaves": "head", "keeps": False}


def _bad_body(rng: Random) -> dict[str, Any]:
    body = {"chunks": (b"d" * 100,), "is_chunked": True}
    return {"path": "/d/bad", "method": "POST", **body, "pauses": True}


KINDS: dict[str, tuple[int, Make]] = {
    "answered": (500, _answered),
    "posted": (180, _posted),
    "own": (80, _own),
    "refused": (60, _refused),
    "retried": (50, _retried),
    "broken": (30, _broken),
    "tunnelled": (25, _tunnelled),
    "left": (25, _left),
    "malformed": (25, _malformed),
    "too large": (10, _too_large),
    "early": (10, _early),
    "slow": (6, _slow),
    "half": (5, _half),
    "bad body": (5, _bad_body),
}
"""How many of some thousand."""


def planned(rng: Random, key: str) -> Iterator[Planned]:
    """Yield requests without end; `key` is a good API key."""
    names = list(KINDS)
    weights = [weight for weight, _ in KINDS.values()]
    while True:
        [name] = rng.choices(names, weights)
        values: dict[str, Any] = {"keeps": rng.random() < 0.8, **KINDS[name][1](rng)}
        said = values.get("headers", {})
        values["headers"] = {header: value.format(key=key) for header, value in said.items()}
        yield Planned(name, **values)
