"""What travels on the bus, and its wire form (JSON inside a signed message).

========= ============================================ ==================================
kind      example of the payload                       the receiver's duty
========= ============================================ ==================================
announce  {"epoch": "…", "revision": 412, "token": "…"} look, if that is after what you
                                                       serve; else nothing
command   {"id": "…", "name": "reload", "from": "n1",  do it once, of this position only;
          "epoch": "…", "revision": 412, "token": "…", an unknown name is ignored
          "args": {"comment": "…"}}
node      {"node": "n1", "state": {"position": …, …}}  show it, unless a newer one of that
                                                       node has been seen
========= ============================================ ==================================

Pure: no clock, no connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from fengling_gateway.model.delta import Position

ANNOUNCE: Final = b"announce"
COMMAND: Final = b"command"
NODE: Final = b"node"

COMMAND_WINDOW_SECONDS: Final = 60.0
"""How far a command's time may be from ours: more than clocks differ, less than is useful."""

ANNOUNCE_WINDOW_SECONDS: Final = 60.0
"""
The same for announcements. A host with a poor clock is not heard and does not hear;
it keeps in step by notifications and by polling.
"""

MAX_ANNOUNCE_BYTES: Final = 4096
"""An epoch, a number, a token and the signature are some 300. Longer ones cost no HMAC."""

MAX_COMMAND_BYTES: Final = 16 * 1024
"""The same, and a comment. Nobody writes one of thousands of characters."""

NODE_WINDOW_SECONDS: Final = 300.0
"""The same for states: a report from a host with a poor clock is still worth seeing."""

MAX_REVISION: Final = 2**63 - 1

NOWHERE: Final = Position("", 0, "")
"""The position of a node that serves nothing yet."""


class MessageError(Exception):
    """A signed message does not hold what its kind promises: the sender is another version."""


@dataclass(frozen=True, slots=True)
class Command:
    """
    Something that one node asks of every node.

    ``id`` is random and unique: a receiver acts on it once. ``sender`` is the
    node's name. ``position`` is what it is about: of ``confirm`` the one that
    is to be released, of ``reload`` the one that the sender serves (`NOWHERE`
    without one). So a recording means nothing in another epoch.
    """

    id: str
    name: str
    sender: str
    position: Position = NOWHERE
    args: dict[str, Any] = field(default_factory=dict)


def encode_position(position: Position) -> bytes:
    return _encode(position._asdict())


def decode_position(payload: bytes) -> Position:
    """
    Raises:
        MessageError: it is not a position.
    """
    return _position(_decode(payload), "an announcement")


def encode_command(command: Command) -> bytes:
    return _encode(
        {
            "id": command.id,
            "name": command.name,
            "from": command.sender,
            **command.position._asdict(),
            "args": command.args,
        }
    )


def decode_command(payload: bytes) -> Command:
    """
    Raises:
        MessageError: it is not a command.
    """
    fields = _decode(payload)
    command_id, name, sender, args = (fields.get(key) for key in ("id", "name", "from", "args"))
    if not (isinstance(command_id, str) and isinstance(name, str) and isinstance(sender, str)):
        raise MessageError("a command without id, name or sender")
    if not isinstance(args, dict):
        raise MessageError("a command whose arguments are no object")
    return Command(command_id, name, sender, _position(fields, "a command"), args)


def encode_node(node: str, state: dict[str, Any]) -> bytes:
    return _encode({"node": node, "state": state})


def decode_node(payload: bytes, *, node: str) -> dict[str, Any]:
    """
    Return the state of ``node``.

    Raises:
        MessageError: it is the state of another node, or none.
    """
    fields = _decode(payload)
    state = fields.get("state")
    if fields.get("node") != node or not isinstance(state, dict):
        raise MessageError("a state that is not this node's")
    return state


def _position(fields: dict[str, Any], what: str) -> Position:
    epoch, revision, token = (fields.get(name) for name in Position._fields)
    if not isinstance(epoch, str) or not isinstance(token, str):
        raise MessageError(f"{what} without epoch or token")
    if type(revision) is not int or not 0 <= revision <= MAX_REVISION:
        raise MessageError(f"{what} without a revision")
    return Position(epoch, revision, token)


def _encode(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()


def _decode(payload: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MessageError("no JSON") from error
    if not isinstance(fields, dict):
        raise MessageError("no object")
    return fields
