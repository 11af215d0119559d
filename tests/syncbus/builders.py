"""Keys, positions and recording receivers for tests of the bus."""

from __future__ import annotations

import random
from typing import Any

from fengling_gateway.model.delta import Position
from fengling_gateway.syncbus.messages import Command, ProberBeat
from fengling_gateway.syncbus.signing import Keyring

KEY = "k1:" + bytes(range(32)).hex()
NEXT_KEY = "k2:" + bytes(range(64, 96)).hex()
OTHER_KEY = "k1:" + bytes(range(32, 64)).hex()


def keyring(*keys: str, cluster: str = "test") -> Keyring:
    return Keyring(keys or (KEY,), cluster=cluster)


def position(revision: int = 412, token: str = "t") -> Position:
    return Position("epoch", revision, token)


def command(command_id: str = "c1", name: str = "reload") -> Command:
    return Command(command_id, name, "n1", position(), {"comment": "why"})


def evidence(failures: int = 3) -> dict[str, dict[str, Any]]:
    seen = {"failures": failures, "successes": 0, "error": "connect_refused", "ejected_for": None}
    return {"i1": seen}


class Heard:
    """Remembers what arrived."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.commands: list[Command] = []
        self.evidence: list[tuple[str, Any]] = []
        self.beats: list[ProberBeat] = []
        self.subscribed = 0

    def on_subscribed(self) -> None:
        self.subscribed += 1

    def receivers(self) -> dict[str, Any]:
        return {
            "on_announcement": self.positions.append,
            "on_command": self.commands.append,
            "on_evidence": lambda node, instances: self.evidence.append((node, instances)),
            "on_prober": self.beats.append,
        }


def rng() -> random.Random:
    return random.Random(1)
