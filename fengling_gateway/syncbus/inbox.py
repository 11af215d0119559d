"""What is done with every message that arrives: believe it or drop it, and count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.messages import (
    ANNOUNCE,
    ANNOUNCE_WINDOW_SECONDS,
    COMMAND,
    COMMAND_WINDOW_SECONDS,
    MAX_ANNOUNCE_BYTES,
    MAX_COMMAND_BYTES,
    Command,
    MessageError,
    decode_command,
    decode_position,
)
from fengling_gateway.syncbus.names import Names
from fengling_gateway.syncbus.signing import Keyring, ReplayWindow, SignatureError

_LOG_EVERY_SECONDS = 10.0

_ANNOUNCEMENTS_KEPT = 16_384
"""Of two minutes: 136 revisions a second. Beyond it new ones are dropped, which costs a poll."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who is told: on the reactor thread, from inside the receipt."""

    on_announcement: Callable[[Position], None]
    on_command: Callable[[Command], None] | None = None


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
        self._kinds = {names.announcements.encode(): ANNOUNCE, names.commands.encode(): COMMAND}
        self._commands = ReplayWindow(seconds=COMMAND_WINDOW_SECONDS)
        self._announcements = ReplayWindow(
            seconds=ANNOUNCE_WINDOW_SECONDS, capacity=_ANNOUNCEMENTS_KEPT
        )
        self._logged_at = -_LOG_EVERY_SECONDS

    def received(self, channel: bytes, message: bytes) -> None:
        """A message has arrived on a channel."""
        kind = self._kinds.get(channel)
        try:
            if kind == ANNOUNCE:
                self._announcement(message)
            elif kind == COMMAND:
                self._command(message)
        except (SignatureError, MessageError) as error:
            self._drop(str(error))
        except Exception:
            # A receiver's fault must not cost us the subscription.
            self._counters["receiver_errors"] += 1
            self._log.failure("a message from the bus could not be acted upon")

    def _announcement(self, message: bytes) -> None:
        if len(message) > MAX_ANNOUNCE_BYTES:
            raise SignatureError("too large")
        signed = self._keyring.verify(
            message, now=self._wall_clock(), max_age=ANNOUNCE_WINDOW_SECONDS
        )
        if signed.kind != ANNOUNCE:
            raise SignatureError("signed for another purpose")
        position = decode_position(signed.payload)
        # Nothing in it is unique but the signature.
        if not self._announcements.admit(signed.mac, now=self._clock.seconds()):
            raise SignatureError("an announcement seen before")
        self._counters["announcements_heard"] += 1
        self._receivers.on_announcement(position)

    def _command(self, message: bytes) -> None:
        if len(message) > MAX_COMMAND_BYTES:
            raise SignatureError("too large")
        signed = self._keyring.verify(
            message, now=self._wall_clock(), max_age=COMMAND_WINDOW_SECONDS
        )
        if signed.kind != COMMAND:
            raise SignatureError("signed for another purpose")
        command = decode_command(signed.payload)
        if not self._commands.admit(command.id, now=self._clock.seconds()):
            raise SignatureError("a command seen before")
        self._counters["commands_heard"] += 1
        if self._receivers.on_command is not None:
            self._receivers.on_command(command)

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
            )
