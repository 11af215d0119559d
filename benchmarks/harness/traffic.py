"""The requests that are sent: bytes, and the wrk script that varies them.

*Realistic* traffic walks over a few dozen paths with query strings, carries
the headers of an ordinary client and a ``traceparent`` that is new in every
request: nothing can win by remembering identical bytes. *Plain* is the request
that wrk sends when told nothing, and *closing*, which only wrk can, the same
with a new connection for each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

HOST: Final = "api.example.com"
PATHS: Final = 48
TRAFFICS: Final = ("realistic", "plain")

_AUTHORIZATION_BYTES: Final = 200
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def targets(count: int = PATHS) -> list[str]:
    """Distinct request targets with query strings; the same ones in every run."""
    rng = random.Random(11)
    nouns = ("orders", "items", "users", "carts", "codes", "prices")
    return [
        f"/v1/{nouns[n % len(nouns)]}/{rng.randrange(10**6):06d}/detail"
        f"?page={n}&size=50&fields=id,name&tag={rng.randrange(16**6):06x}"
        for n in range(count)
    ]


def opaque_token(_number: int) -> str:
    """The header with a token that means nothing to a gateway; the same one in every request."""
    rng = random.Random(13)
    token = "".join(rng.choices(_LETTERS, k=_AUTHORIZATION_BYTES - len("Bearer ")))
    return f"Authorization: Bearer {token}"


def heads(count: int = PATHS, header: Callable[[int], str] = opaque_token) -> list[str]:
    """
    Request heads as far as the value of ``traceparent``, which is the last header.

    Args:
        header: makes the line of head number n that tells who asks.
    """
    common = (
        f"Host: {HOST}\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) benchmark/1.0\r\n"
        "Accept: application/json, text/plain, */*\r\n"
        "Accept-Encoding: gzip, deflate, br\r\n"
    )
    return [
        f"GET {target} HTTP/1.1\r\n{common}{header(number)}\r\ntraceparent: "
        for number, target in enumerate(targets(count))
    ]


def traceparent(number: int) -> str:
    """A W3C trace context that no other number gives."""
    return f"00-4bf92f3577b34da6a3ce{number:012x}-00f0{number:012x}-01"


def plain_head(port: int) -> str:
    """What wrk sends by itself."""
    return f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"


_WRK_SCRIPT: Final = """\
local heads = {{
{heads}
}}
local format, size, count = string.format, #heads, 0
local threads = 0

function setup(thread)
  thread:set("first", threads * 2 ^ 40)
  threads = threads + 1
end

function init(args)
  count = first{start}
end

function request()
  count = count + 1{stop}
  return format("%s00-4bf92f3577b34da6a3ce%012x-00f0%012x-{flags}\\r\\n\\r\\n",
                heads[count % size + 1], count, count)
end
"""

_WRK_START: Final = " + os.time() * 997 % size"
"""Anywhere: short rounds would else send the first ones only."""

_WRK_STOP: Final = """
  if count - first > size then
    wrk.thread:stop()
  end"""

_WRK_PACE: Final = """
function delay()
  return {milliseconds}
end
"""


def wrk_script(
    beginnings: Sequence[str] | None = None,
    *,
    pause_ms: int = 0,
    is_once: bool = False,
    flags: str = "01",
) -> str:
    """
    The realistic traffic as a script for wrk.

    Args:
        beginnings: of the requests, as `heads` makes them.
        pause_ms: how long a connection waits before each of its requests; 0: not at all.
        is_once: whether the load ends when each has been sent (to wrk with one thread).
        flags: at the end of the last header, of a ``traceparent``: 00, the client records nothing.
    """
    lines = heads() if beginnings is None else beginnings
    quoted = ",\n".join(f'  "{head}"'.replace("\r\n", "\\r\\n") for head in lines)
    how = {"start": "", "stop": _WRK_STOP} if is_once else {"start": _WRK_START, "stop": ""}
    script = _WRK_SCRIPT.format(heads=quoted, flags=flags, **how)
    return script + (_WRK_PACE.format(milliseconds=pause_ms) if pause_ms else "")
