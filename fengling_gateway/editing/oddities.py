"""What is valid and yet not what somebody can have meant, in a configuration or because of a change."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from fengling_gateway.editing.changes import Planned, about, bodies_after
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import hash_of
from fengling_gateway.model.entity import Key
from fengling_gateway.routing.auth_linter import lint_auth
from fengling_gateway.routing.linter import Finding, lint
from fengling_gateway.routing.snapshot import CompileContext, Snapshot

_CALLERS: Final = ("issuer", "client", "api_key")
"""Whose changes may leave routes with nobody who can ask them."""


def find_oddities(bodies: Mapping[Key, bytes]) -> list[Finding]:
    """Return what the linter finds among the routes of a configuration, by route."""
    delta = Delta(
        before=None,
        after=Position("validate", 1, ""),
        hash_before=0,
        hash_after=hash_of(dict(bodies)),
        changes=tuple(Change(key, body) for key, body in bodies.items()),
    )
    snapshot = Snapshot.empty().apply(delta, CompileContext(random.Random(0)))
    found = [*lint(snapshot.routes), *lint_auth(bodies)]
    return sorted(found, key=lambda one: (one.route, one.other or "", one.message))


def find_because_of(changes: Sequence[Planned], bodies: Mapping[Key, bytes]) -> list[Finding]:
    """
    Return what is odd about routes because of changes.

    Args:
        bodies: the configuration that counts then, with what is to be deleted.
    """
    after = bodies_after(bodies, changes)
    if any(one.key.kind == "route" and one.action != "delete" for one in changes):
        found = about(changes, find_oddities(after))
    else:
        found = []
    if any(one.key.kind in _CALLERS for one in changes):
        found += [one for one in lint_auth(after) if one not in found]
    return found
