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
evidence  {"node": "n1", "instances": {"i1":           count it: what a node's requests
          {"failures": 3, "successes": 0, "error":     have shown since its last one
          "connect_refused", "ejected_for": 10.0}}}
prober    {"term": 4, "holder": "c1"}                  believe what instances are said to be:
                                                       somebody probes them
switch    {"kind": "route", "id": "all", "off": true,  (kept, not sent: `switches`)
          "by": "ada", "at": 1795334400.1,
          "comment": "…"}
========= ============================================ ==================================

Commands, by name:

``reload``    {"comment"}: look at the source.
``confirm``   {}: release the position, if it is held.
``drain``     {"node", "started_at", "on"}: be drained, or no longer.
``restart``   {"node", "started_at"}: replace the workers, one after the other.
``switches``  {}: read what is switched off.

``pin``       {"revision", "by", "comment"}: serve that revision of the epoch until it is
              unpinned; null: what is served.
``unpin``     {"by"}: serve what is newest.

``started_at`` is that of the node's state: what was asked of a node means nothing after
it has been restarted.

Pure: no clock, no connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from fengling_gateway.model.delta import Position

ANNOUNCE: Final = b"announce"
COMMAND: Final = b"command"
NODE: Final = b"node"
EVIDENCE: Final = b"evidence"
PROBER: Final = b"prober"

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

EVIDENCE_WINDOW_SECONDS: Final = 60.0
"""The same for evidence: what is a minute old is contradicted by probes since."""

MAX_EVIDENCE_INSTANCES: Final = 500
"""Instances in one message."""

MAX_EVIDENCE_BYTES: Final = 128 * 1024
"""500 instances with ids as long as they may be, 250 bytes each."""

PROBER_WINDOW_SECONDS: Final = 60.0
"""The same for the prober's heartbeat."""

MAX_PROBER_BYTES: Final = 4096

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


@dataclass(frozen=True, slots=True)
class ProberBeat:
    """Somebody probes instances: the console ``holder``, in its ``term``."""

    term: int
    holder: str


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


def encode_evidence(node: str, instances: dict[str, dict[str, Any]]) -> bytes:
    """Return the payload; of too many instances it has the first."""
    kept = dict(islice(instances.items(), MAX_EVIDENCE_INSTANCES))
    return _encode({"node": node, "instances": kept})


def decode_evidence(payload: bytes) -> tuple[str, dict[str, dict[str, Any]]]:
    """
    Return a node, and by the ids of instances what its requests have shown of them.

    Raises:
        MessageError: it is no evidence.
    """
    fields = _decode(payload)
    node, instances = fields.get("node"), fields.get("instances")
    if not isinstance(node, str) or not isinstance(instances, dict):
        raise MessageError("evidence without a node or instances")
    if len(instances) > MAX_EVIDENCE_INSTANCES:
        raise MessageError("evidence of too many instances")
    return node, {name: _seen(values) for name, values in instances.items()}


def _seen(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise MessageError("evidence that is no object")
    seen = {name: values.get(name) for name in ("failures", "successes", "error", "ejected_for")}
    for count in (seen["failures"], seen["successes"]):
        if type(count) is not int or not 0 <= count <= MAX_REVISION:
            raise MessageError("evidence without numbers")
    if not isinstance(seen["error"], str | None):
        raise MessageError("evidence whose error has no name")
    ejected_for = seen["ejected_for"]
    if ejected_for is not None and type(ejected_for) not in (int, float):
        raise MessageError("evidence of an ejection without an end")
    return seen


def encode_prober(beat: ProberBeat) -> bytes:
    return _encode({"term": beat.term, "holder": beat.holder})


def decode_prober(payload: bytes) -> ProberBeat:
    """
    Raises:
        MessageError: it is not a prober's heartbeat.
    """
    fields = _decode(payload)
    term, holder = fields.get("term"), fields.get("holder")
    if type(term) is not int or not 0 <= term <= MAX_REVISION or not isinstance(holder, str):
        raise MessageError("a prober without term or holder")
    return ProberBeat(term, holder)


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
