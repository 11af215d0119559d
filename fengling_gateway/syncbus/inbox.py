"""What is done with every message that arrives: believe it or drop it, and count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus import messages
from fengling_gateway.syncbus.fleet import NewestOnly
from fengling_gateway.syncbus.messages import Command, MessageError, ProberBeat
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring, ReplayWindow, SignatureError, Signed

_LOG_EVERY_SECONDS = 10.0

_ANNOUNCEMENTS_KEPT = 16_384
"""Of two minutes: 136 revisions a second. Beyond it new ones are dropped, which costs a poll."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """
    Who is told: on the reactor thread, from inside the receipt. None: nobody wants to know.

    ``on_evidence`` is told of a node, and by ids of instances what requests there have shown.
    """

    on_announcement: Callable[[Position], None] | None = None
    on_command: Callable[[Command], None] | None = None
    on_evidence: Callable[[str, dict[str, dict[str, Any]]], None] | None = None
    on_prober: Callable[[ProberBeat], None] | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of message: what it may be, and what is done with one that is good."""

    name: bytes
    max_bytes: int
    window_seconds: float
    act: Callable[[Signed], None]


class Inbox:
    """Verifies, decodes and passes on. Never raises, whatever arrives."""

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        keyring: Keyring,
        names: Names,
        receivers: Receivers,
        counters: Counter[str],
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._keyring = keyring
        self._receivers = receivers
        self._counters = counters
        self._kinds = self._wanted(names)
        self._commands = ReplayWindow(seconds=messages.COMMAND_WINDOW_SECONDS)
        self._announcements = ReplayWindow(
            seconds=messages.ANNOUNCE_WINDOW_SECONDS, capacity=_ANNOUNCEMENTS_KEPT
        )
        # Nobody sends these faster than once a second: the newest of each is remembered.
        self._evidence = NewestOnly(once=True)
        self._beats = NewestOnly(once=True)
        self._logged_at = -_LOG_EVERY_SECONDS

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that somebody wants to hear."""
        return tuple(channel.decode() for channel in self._kinds)

    def _wanted(self, names: Names) -> dict[bytes, _Kind]:
        kinds = (
            (
                names.announcements,
                self._receivers.on_announcement,
                _Kind(
                    messages.ANNOUNCE,
                    messages.MAX_ANNOUNCE_BYTES,
                    messages.ANNOUNCE_WINDOW_SECONDS,
                    self._announced,
                ),
            ),
            (
                names.commands,
                self._receivers.on_command,
                _Kind(
                    messages.COMMAND,
                    messages.MAX_COMMAND_BYTES,
                    messages.COMMAND_WINDOW_SECONDS,
                    self._commanded,
                ),
            ),
            (
                names.evidence,
                self._receivers.on_evidence,
                _Kind(
                    messages.EVIDENCE,
                    messages.MAX_EVIDENCE_BYTES,
                    messages.EVIDENCE_WINDOW_SECONDS,
                    self._evidence_given,
                ),
            ),
            (
                names.prober,
                self._receivers.on_prober,
                _Kind(
                    messages.PROBER,
                    messages.MAX_PROBER_BYTES,
                    messages.PROBER_WINDOW_SECONDS,
                    self._prober_beat,
                ),
            ),
        )
        return {channel.encode(): kind for channel, receiver, kind in kinds if receiver is not None}

    def received(self, channel: bytes, message: bytes) -> None:
        """A message has arrived on a channel."""
        kind = self._kinds.get(channel)
        if kind is None:
            return
        try:
            kind.act(self._verified(message, kind))
        except (SignatureError, MessageError) as error:
            self._drop(str(error))
        except Exception:
            # A receiver's fault must not cost us the subscription.
            self._counters["receiver_errors"] += 1
            self._log.failure(
                "a message from the bus could not be acted upon", log_id="bus.message_failed"
            )

    def _verified(self, message: bytes, kind: _Kind) -> Signed:
        if len(message) > kind.max_bytes:
            raise SignatureError("too large")
        signed = self._keyring.verify(message, now=self._wall_clock(), max_age=kind.window_seconds)
        if signed.kind != kind.name:
            raise SignatureError("signed for another purpose")
        return signed

    def _announced(self, signed: Signed) -> None:
        position = messages.decode_position(signed.payload)
        # Nothing in it is unique but the signature.
        if not self._announcements.admit(signed.mac, now=self._clock.seconds()):
            raise SignatureError("an announcement seen before")
        self._counters["announcements_heard"] += 1
        assert self._receivers.on_announcement is not None, "or it is not subscribed to"
        self._receivers.on_announcement(position)

    def _commanded(self, signed: Signed) -> None:
        command = messages.decode_command(signed.payload)
        if not self._commands.admit(command.id, now=self._clock.seconds()):
            raise SignatureError("a command seen before")
        self._counters["commands_heard"] += 1
        assert self._receivers.on_command is not None, "or it is not subscribed to"
        self._receivers.on_command(command)

    def _evidence_given(self, signed: Signed) -> None:
        node, instances = messages.decode_evidence(signed.payload)
        if not self._evidence.admit(node, signed.sent_at, now=self._clock.seconds()):
            raise SignatureError("evidence seen before")
        self._counters["evidence_heard"] += 1
        assert self._receivers.on_evidence is not None, "or it is not subscribed to"
        self._receivers.on_evidence(node, instances)

    def _prober_beat(self, signed: Signed) -> None:
        beat = messages.decode_prober(signed.payload)
        if not self._beats.admit(
            f"{beat.term} {beat.holder}", signed.sent_at, now=self._clock.seconds()
        ):
            raise SignatureError("a prober's heartbeat seen before")
        self._counters["prober_beats_heard"] += 1
        assert self._receivers.on_prober is not None, "or it is not subscribed to"
        self._receivers.on_prober(beat)

    def _drop(self, reason: str) -> None:
        self._counters["messages_dropped"] += 1
        self._counters[f"messages_dropped:{reason}"] += 1
        now = self._clock.seconds()
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            self._log.warn(
                "a message on the bus is not believed: {reason} ({dropped} so far)",
                reason=reason,
                dropped=self._counters["messages_dropped"],
                log_id="bus.message_dropped",
            )
