"""Redis: whether it can be reached, lets us do what we do, and delivers what is published."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fengling_gateway.doctor.clocks import clock
from fengling_gateway.doctor.finding import Finding, note, ok, wrong
from fengling_gateway.syncbus.blocking import BlockingRedis
from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.messages import COMMAND, Command, encode_command
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring
from fengling_gateway.syncbus.url import parse_redis_url

HEARD_SECONDS: Final = 3.0
"""It takes a millisecond."""

_RIGHTS_CURE: Final = "give its user the rights in docs/redis.md (ACL SETUSER), then ACL SAVE"
_LACKED_SHOWN: Final = 4

# Redis 7 and Valkey say so without doing it. (ARGV: commands with their arguments, each after
# the number of its parts.)
_LACKED: Final = """\
local lacked, at = {}, 1
if not redis.acl_check_cmd then return false end
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  if not redis.acl_check_cmd(unpack(ARGV, at + 1, at + count)) then
    lacked[#lacked + 1] = ARGV[at + 1] .. ' ' .. (ARGV[at + 2] or '')
  end
  at = at + count + 1
end
return lacked
"""


def redis(url: str, cluster: str, keyring: Keyring | None) -> Iterator[Finding]:
    """
    Yield what there is to say of a Redis.

    Args:
        keyring: of the cluster; None where it is not known: then nothing is published.
    """
    try:
        address = parse_redis_url(url)
    except ValueError as error:
        yield wrong("redis.reach", f"its URL {error}", "put redis.url right")
        return
    names = Names(cluster)
    try:
        with BlockingRedis(address) as connection:
            yield ok("redis.reach", f"{address} answers")
            yield _clock(connection)
            yield _rights(connection, names)
            yield _eviction(connection)
            if keyring is not None:
                yield _delivers(connection, BlockingRedis(address), names, keyring)
    except BusError as error:
        yield wrong("redis.reach", f"{address}: {error}", _cure(str(error)))


def _rights(connection: BlockingRedis, names: Names) -> Finding:
    asked: list[str | int] = []
    for command in _used(names):
        asked += (len(command), *command)
    try:
        lacked = connection.ask("EVAL", _LACKED, 0, *asked)
    except BusError as error:
        return wrong("redis.rights", f"scripts are refused: {error}", _RIGHTS_CURE)
    if lacked is None:
        return note(
            "redis.rights",
            "this version of Redis does not tell what its user may; what it refuses is in the "
            "gateway's log",
            "compare ACL GETUSER with docs/redis.md",
        )
    if lacked:
        said = [one.decode(errors="replace").strip() for one in lacked]
        more = f" and {len(said) - _LACKED_SHOWN} more" if len(said) > _LACKED_SHOWN else ""
        shown = ", ".join(said[:_LACKED_SHOWN])
        return wrong("redis.rights", f"its user may not: {shown}{more}", _RIGHTS_CURE)
    return ok("redis.rights", "its user may do all that gateways and consoles do")


def _used(names: Names) -> Iterable[tuple[str, ...]]:
    """Return one of each command on each kind of key and channel that is ever used."""
    node, mark = names.node("doctor"), f"fengling:{names.cluster}:announced:doctor"
    limit, field = names.limit("doctor"), "doctor"
    channels = (names.announcements, names.commands, names.evidence, names.prober)
    return (
        ("PING",),
        ("SELECT", "0"),
        ("TIME",),
        ("EVALSHA", "0" * 40, "0"),
        *(("SUBSCRIBE", channel) for channel in channels),
        *(("PUBLISH", channel, "x") for channel in channels),
        ("SET", mark, "1", "NX", "EX", "10"),
        ("GET", limit),
        ("SET", limit, "1"),
        ("HSET", node, "state", "x"),
        ("HGET", node, "state"),
        ("PEXPIRE", node, "1"),
        ("PTTL", node),
        ("DEL", node),
        ("SADD", names.nodes, "doctor"),
        ("SREM", names.nodes, "doctor"),
        ("SMEMBERS", names.nodes),
        ("HLEN", names.switches),
        ("HGETALL", names.switches),
        ("HGET", names.switches, field),
        ("HSET", names.switches, field, "x"),
        ("HDEL", names.switches, field),
    )


def _delivers(
    hearing: BlockingRedis, sending: BlockingRedis, names: Names, keyring: Keyring
) -> Finding:
    """Say whether a command that means nothing to anybody is heard."""
    command = Command(secrets.token_hex(8), "doctor", "doctor")
    message = keyring.sign(COMMAND, encode_command(command), now=time.time())
    channel = names.commands
    with sending:
        try:
            hearing.ask("SUBSCRIBE", channel)
            began = time.monotonic()
            sending.ask("PUBLISH", channel, message)
        except BusError as error:
            return wrong("redis.delivers", f"nothing can be told: {error}", _RIGHTS_CURE)
        heard = hearing.wait_for(lambda said: _is(said, message), HEARD_SECONDS)
    if heard:
        took = (time.monotonic() - began) * 1000
        return ok("redis.delivers", f"what is published is heard after {took:.1f} ms")
    return wrong(
        "redis.delivers",
        f"what is published is not heard within {HEARD_SECONDS:g} s",
        "name the very server, past any proxy that does not carry pub/sub",
    )


def _is(said: Any, message: bytes) -> bool:
    return isinstance(said, list) and said[-1:] == [message]


def _eviction(connection: BlockingRedis) -> Finding:
    about = "redis.eviction"
    try:
        text: bytes = connection.ask("INFO", "memory")
    except BusError:
        return note(
            about,
            "its user may not ask what is evicted when memory is full",
            "see that CONFIG GET maxmemory-policy is noeviction or volatile-…, as an administrator",
        )
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    said = {name: value for name, _, value in lines}
    policy, most = said.get("maxmemory_policy", "unknown"), said.get("maxmemory", "0")
    if not policy.startswith("allkeys"):
        return ok(about, f"eviction is {policy}: what is kept without an end stays")
    cure = "CONFIG SET maxmemory-policy volatile-ttl, or a Redis of its own"
    what = f"eviction is {policy}: switches and nodes may be forgotten"
    if most == "0":
        return note(about, f"{what}, if there ever is a maxmemory", cure)
    return wrong(about, what, cure)


def _clock(connection: BlockingRedis) -> Finding:
    before = time.time()
    try:
        seconds, microseconds = connection.ask("TIME")
    except BusError as error:
        return note("clock.redis", f"the clock of Redis can't be asked: {error}", _RIGHTS_CURE)
    theirs = int(seconds) + int(microseconds) / 1e6
    return clock("redis", theirs, before=before, after=time.time())


def _cure(said: str) -> str:
    if any(word in said for word in ("WRONGPASS", "NOAUTH", "NOPERM")):
        return "put user and password in redis.url right, or the ACL (docs/redis.md)"
    if "certificate" in said or "TLS" in said:
        return "see ssl_ca_certs in redis.url (docs/redis.md)"
    return "see that it runs, and that redis.url names it; gateways go on without it"
