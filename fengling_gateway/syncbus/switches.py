"""Kill switches: routes and instances that somebody has switched off, beside the configuration.

A hash with a field for each (``route/ID``, ``instance/ID``), whose value is a signed
message. To switch on again is to write one, too, with ``off`` false: a field that has
vanished is nobody's word, and whoever can write to Redis, and has no key, can
neither switch anything off nor on again. Those who read remember the newest word on
each thing (`newest`), so that an older one put back counts for nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred

from fengling_gateway.syncbus.errors import BusError
from fengling_gateway.syncbus.messages import MessageError
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring, SignatureError

SWITCH: Final = b"switch"
"""The kind of the signed message."""

KINDS: Final = ("route", "instance")

MAX_SWITCHES: Final = 1000
"""What is off or was of late. They are for minutes; for what is to stay there is ``enabled``."""

MAX_TEXT: Final = 200
"""Characters of a comment, and of whose word it is."""

MAX_SWITCH_BYTES: Final = 4096
"""Both, an id of 100, all with six bytes a character, and the signature."""

TOMBSTONE_SECONDS: Final = 86_400.0
"""How long it stays on record that something is on again: nobody is without Redis for longer."""

_ATTEMPTS: Final = 5

_PUT: Final = """\
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""Writes a field that is still as it was read: of two who write at once, both are counted."""


@dataclass(frozen=True, slots=True)
class Switch:
    """
    The newest word on one thing.

    ``at`` is in epoch seconds by the writer's clock, and later than that of the word
    before. ``by`` and ``comment`` are for people.
    """

    kind: str
    id: str
    off: bool
    by: str
    at: float
    comment: str = ""

    @property
    def field(self) -> str:
        """What it is about, as ``route/ID``."""
        return f"{self.kind}/{self.id}"


def newest(
    known: Mapping[str, Switch], found: Iterable[Switch], *, until: float = float("inf")
) -> dict[str, Switch]:
    """
    Return the newest word on each thing; what is known, and not found any more, stays.

    Args:
        until: epoch seconds; what was on again before that need not be known any longer.
    """
    words = dict(known)
    for switch in found:
        before = words.get(switch.field)
        if before is None or switch.at > before.at:
            words[switch.field] = switch
    if until != float("inf"):
        words = {name: one for name, one in words.items() if one.off or one.at >= until}
    return words


class Switches:
    """
    Reads and writes them.

    Args:
        call: runs one command on Redis; fails with `BusError`, in time.
    """

    def __init__(
        self,
        *,
        wall_clock: Callable[[], float],
        names: Names,
        call: Callable[..., Deferred[Any]],
        keyring: Keyring,
        counters: Counter[str],
    ) -> None:
        self._wall_clock = wall_clock
        self._key = names.switches
        self._call = call
        self._keyring = keyring
        self._counters = counters

    async def read(self) -> dict[str, Switch]:
        """
        Return what is on record, by field, things that are on again included.

        Raises:
            BusError: Redis does not tell, or has more than there may be.
        """
        found = await self._read()
        await self._sign_anew(found)
        return {name: one for name, (one, _) in found.items() if one is not None}

    async def _sign_anew(self, found: dict[str, tuple[Switch | None, bytes]]) -> None:
        """Before an older key is dropped; a word may well outlive it."""
        for switch, message in found.values():
            if switch is not None and not self._keyring.is_signed_by_first(message):
                try:
                    await self._put(switch, message)
                except BusError:
                    self._counters["switches_not_signed_anew"] += 1
                    return  # it is tried again with the next reading

    async def write(self, kind: str, entity_id: str, *, off: bool, by: str, comment: str) -> Switch:
        """
        Switch a route or an instance off, or on again.

        Raises:
            BusError: Redis does not take it; then nobody hears of it.
            ValueError: of no such kind, of too long a comment, or too many are off already.
        """
        if kind not in KINDS:
            raise ValueError(f"only a {' or an '.join(KINDS)} can be switched off")
        if len(comment) > MAX_TEXT:
            raise ValueError(f"a comment has at most {MAX_TEXT} characters")
        for _ in range(_ATTEMPTS):
            found = await self._read()
            await self._forget_old(found)
            wanted = Switch(kind, entity_id, off, by[:MAX_TEXT], self._wall_clock(), comment)
            before, raw = found.get(wanted.field, (None, b""))
            if before is None and len(found) >= MAX_SWITCHES:
                raise ValueError(f"{MAX_SWITCHES} things are switched off, or were of late")
            after = 0.0 if before is None else before.at + 0.001
            wanted = Switch(**{**asdict(wanted), "at": round(max(wanted.at, after), 3)})
            if await self._put(wanted, raw):
                return wanted
        raise BusError(f"others write {kind} {entity_id} all the time")

    async def _put(self, switch: Switch, before: bytes) -> bool:
        payload = json.dumps(asdict(switch), separators=(",", ":"), sort_keys=True).encode()
        message = self._keyring.sign(SWITCH, payload, now=switch.at)
        answer = await self._call("EVAL", _PUT, 1, self._key, switch.field, before, message)
        return bool(answer == 1)

    async def _read(self) -> dict[str, tuple[Switch | None, bytes]]:
        count = await self._call("HLEN", self._key)
        if not isinstance(count, int) or count > 2 * MAX_SWITCHES:
            raise BusError(f"Redis has more than {2 * MAX_SWITCHES} switches: they are not ours")
        reply = await self._call("HGETALL", self._key)
        if isinstance(reply, dict):  # as RESP3 has it
            reply = [part for pair in reply.items() for part in pair]
        pairs = iter(reply or ())
        found = {}
        for name, message in zip(pairs, pairs, strict=False):
            field = name.decode(errors="replace")
            found[field] = (self._believed(field, message), message)
        return found

    def _believed(self, field: str, message: bytes) -> Switch | None:
        try:
            if len(message) > MAX_SWITCH_BYTES:
                raise SignatureError("too large")
            signed = self._keyring.verify(message, now=self._wall_clock())
            if signed.kind != SWITCH:
                raise SignatureError("signed for another purpose")
            switch = decode_switch(signed.payload)
            if switch.field != field:
                raise SignatureError("a switch in the place of another")
        except (SignatureError, MessageError):
            self._counters["messages_dropped"] += 1
            self._counters["messages_dropped:switch"] += 1
            return None
        return switch

    async def _forget_old(self, found: dict[str, tuple[Switch | None, bytes]]) -> None:
        """Take out of Redis, and of what was found, what has been on again for long."""
        until = self._wall_clock() - TOMBSTONE_SECONDS
        old = [name for name, (one, _) in found.items() if one and not one.off and one.at < until]
        if old:
            await self._call("HDEL", self._key, *old)
        for name in old:
            del found[name]


def decode_switch(payload: bytes) -> Switch:
    """
    Raises:
        MessageError: it is no switch.
    """
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MessageError("no JSON") from error
    texts = ("kind", "id", "by", "comment")
    if not isinstance(fields, dict) or not all(isinstance(fields.get(one), str) for one in texts):
        raise MessageError("a switch of nothing")
    off, at = fields.get("off"), fields.get("at")
    if type(off) is not bool or type(at) is not float or fields["kind"] not in KINDS:
        raise MessageError("a switch that is neither on nor off")
    return Switch(fields["kind"], fields["id"], off, fields["by"], at, fields["comment"])
