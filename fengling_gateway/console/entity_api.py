"""The API's operations on entities: what there is, and every way of changing it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.configsource.file_entities import (
    SECTIONS,
    Entities,
    FileError,
    parse_entities,
)
from fengling_gateway.console.call import MERGE_PATCH, YAML, Answer, Call
from fengling_gateway.console.committing import Committing
from fengling_gateway.console.edits import Edit, Editor, MissingError, PlannedEdit, write
from fengling_gateway.console.entities import WRITE_ONLY
from fengling_gateway.console.filters import Filter, parameters_of, read_page
from fengling_gateway.console.form_problems import relative
from fengling_gateway.console.forms import Form, FormError, key_in, merged, read_form, row_of
from fengling_gateway.console.health_api import read_health
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.ownership import (
    is_theirs,
    only_shut_out,
    only_theirs,
    warnings_shown,
)
from fengling_gateway.console.showing import changes_shown, etag, shown
from fengling_gateway.console.store import Store
from fengling_gateway.editing.changes import Ownership
from fengling_gateway.editing.documents import write_document
from fengling_gateway.editing.drift import application
from fengling_gateway.editing.rows import read_rows, read_some, snapshot
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import ADMIN, READ, WRITE
from fengling_gateway.model.names import is_slug
from fengling_gateway.model.who_may_ask import WhoMayAsk

KINDS: Final = SECTIONS
"""The kinds by the name of their list in a path."""

READ_SCOPES: Final = {"management_token": ADMIN}
WRITE_SCOPES: Final = dict.fromkeys(("setting", "issuer", "secret", "management_token"), ADMIN)
"""Kinds of which who may write could give himself, or anybody, all other rights."""

_EXPORT_SCOPES: Final = {**READ_SCOPES, "api_key": ADMIN}
"""An export has the digests of keys, or it could not be applied; nothing else shows them."""

Row = dict[str, Any]


class EntityApi:
    """
    Reads and writes entities.

    Args:
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: Store,
        mirror: Mirror,
        editor: Editor,
        committing: Committing,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._editor = editor
        self._committing = committing
        self._wall = wall

    # Reading

    async def list(self, call: Call) -> Answer:
        """Return a page of a kind, in the order of ids."""
        kind = _kind(call, READ_SCOPES, READ)
        call.only(*parameters_of(kind))
        rejected = [key.id for key in self._mirror.config.rejected if key.kind == kind]
        wanted = Filter.of(kind, call, call.access.operator.tenants, rejected)
        page = await self._store.run(read_page, wanted)
        asked = WhoMayAsk(self._mirror.config.bodies)
        items = [self._shown(Key(kind, one), row, asked) for one, row in page.rows]
        if kind == "instance":
            await self._add_health(items)
        return Answer({"items": items, "next": page.next, "total": page.total})

    async def get(self, call: Call) -> Answer:
        """Return one entity."""
        key = _key(call, READ_SCOPES, READ)
        call.only()
        row = await self._row(call, key)
        value = self._shown(key, row, WhoMayAsk(self._mirror.config.bodies))
        if key.kind == "instance":
            await self._add_health([value])
        return Answer(value, headers={"ETag": etag(row)})

    async def export(self, call: Call) -> Answer:
        """Return the whole configuration, or what somebody manages, as YAML."""
        call.access.require_all_tenants()
        call.only("managed_by", "full")
        managed_by, full = call.text("managed_by"), call.flag("full")
        kinds = [
            kind
            for kind in KINDS.values()
            if call.access.operator.may(_EXPORT_SCOPES.get(kind, READ))
        ]
        text = await self._store.run(_export, kinds, managed_by, full)
        return Answer(text, content_type="application/yaml")

    # Writing

    async def create(self, call: Call) -> Answer:
        kind = _kind(call, WRITE_SCOPES, WRITE)
        row = row_of(kind, call.json())
        key = Key(kind, _id_of(kind, row))
        self._refuse_others(call, key, None, row)
        edit = Edit({key: row}, new=frozenset((key,)))
        return await self._change(call, edit, key, status=201)

    async def replace(self, call: Call) -> Answer:
        key = _key(call, WRITE_SCOPES, WRITE)
        version = call.expected_version()
        present = await self._row(call, key)
        row = row_of(key.kind, call.json(), entity_id=key.id, present=present)
        return await self._replace(call, key, _pinned(call, key, version, present), present, row)

    async def patch(self, call: Call) -> Answer:
        key = _key(call, WRITE_SCOPES, WRITE)
        version = call.expected_version()
        present = await self._row(call, key)
        row = merged(key.kind, present, call.json(MERGE_PATCH))
        # What the patch was merged into is what it must still be when it is written.
        version = present["version"] if version is None else version
        return await self._replace(call, key, version, present, row)

    async def _replace(
        self, call: Call, key: Key, version: int | None, present: Row, row: Row
    ) -> Answer:
        self._refuse_others(call, key, present, row)
        versions = {} if version is None else {key: version}
        ownership = Ownership(take_over=call.flag("take_over"))
        edit = Edit({key: row}, versions=versions, old=frozenset((key,)), ownership=ownership)
        return await self._change(call, edit, key, also=("take_over",))

    async def delete(self, call: Call) -> Answer:
        key = _key(call, WRITE_SCOPES, WRITE)
        version = call.expected_version()
        present = await self._row(call, key)
        self._refuse_others(call, key, present, None)
        version = _pinned(call, key, version, present)
        versions = {} if version is None else {key: version}
        ownership = Ownership(take_over=call.flag("take_over"))
        edit = Edit({}, deleted=frozenset((key,)), versions=versions, ownership=ownership)
        return await self._change(call, edit, None, also=("take_over",))

    async def apply(self, call: Call) -> Answer:
        """Change several entities in one transaction."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        edit = await self._document(call)
        _require_scopes(call, (*edit.wanted, *edit.deleted))
        return await self._change(call, edit, None, also=("managed_by", "prune", "take_over"))

    async def _document(self, call: Call) -> Edit:
        """Read a body with several entities: YAML as files have it, or JSON that says more."""
        ownership = _ownership(call)
        if call.content_type() in YAML:
            try:
                read = await self._store.run(_read_yaml, call.content())
                return Edit(read.rows, ownership=ownership)
            except FileError as error:
                raise ProblemError("invalid", "; ".join(error.problems[:10])) from error
        sections = call.json()
        if type(sections) is not dict:
            raise ProblemError("invalid_parameter", "the body must be an object")
        deleted = frozenset(_keys(sections.get("delete", [])))
        sent: dict[Key, Any] = {}
        nameless: list[Form] = []
        for section, entities in sections.items():
            if section == "delete":
                continue
            kind = KINDS.get(section)
            if kind is None or type(entities) is not list:
                known = ", ".join((*KINDS, "delete"))
                raise ProblemError("invalid_parameter", f"the body must have lists: {known}")
            for entity in entities:
                key = key_in(kind, entity)
                if not key.id:
                    nameless.append(read_form(kind, entity))
                elif key in sent or key in deleted:
                    raise ProblemError("invalid_parameter", f"the body has {key} twice")
                else:
                    sent[key] = entity
        forms = await self._store.run(_read_forms, sent)
        if wrong := {one.key: one.problems for one in (*nameless, *forms) if one.problems}:
            raise FormError(wrong)
        return Edit(
            {one.key: one.row for one in forms},
            deleted=deleted,
            versions={key: one["version"] for key, one in sent.items() if one.get("version")},
            ownership=ownership,
        )

    async def _change(
        self,
        call: Call,
        edit: Edit,
        key: Key | None,
        *,
        status: int = 200,
        also: tuple[str, ...] = (),
    ) -> Answer:
        """Plan an edit and, unless that is all that is wanted, write it."""
        wish = self._committing.wish_of(call, *also)
        planned = await self._editor.plan(edit)
        # Also of what is pruned: a token's record that goes may be its revocation.
        _require_scopes(call, (one.key for one in planned.changes))
        told = self._told(call, planned)
        if wish.dry_run:
            return Answer({"dry_run": True, **told})
        signature = wish.signature
        if edit.ownership.managed_by is not None:
            # By this mark `fenglingctl diff` tells what was applied from what has been changed since.
            mark = application(edit.ownership.managed_by)
            signature = replace(signature, application=mark)
        committed, row = await self._committing.recorded(
            call,
            _what(planned),
            lambda: self._store.run(write, planned, signature, key),
            told["changes"],
        )
        headers = {}
        if key is not None and row is not None:
            told["entity"] = shown(key.kind, row)
            headers["ETag"] = etag(row)
        return Answer(await self._committing.outcome(wish, committed, told), status, headers)

    def _told(self, call: Call, planned: PlannedEdit) -> dict[str, Any]:
        tenants, bodies = call.access.operator.tenants, planned.trial.bodies

        def is_mine(key: Key) -> bool:
            row = json.loads(bodies[key]) if key in bodies else {}
            return is_theirs(key.kind, row, tenants, self._client)

        return {
            "changes": changes_shown(planned.changes),
            "warnings": [
                one._asdict() for one in warnings_shown(planned.warnings(self._wall()), is_mine)
            ],
            "public": planned.public(),
        }

    # One entity

    async def _row(self, call: Call, key: Key) -> Row:
        """
        Raises:
            MissingError: there is none, as far as who asks may know.
        """
        rows = await self._store.run(_read_one, key)
        row = rows.get(key)
        if row is None or not is_theirs(key.kind, row, call.access.operator.tenants, self._client):
            if row is not None:
                call.access.kept_from()
            raise MissingError((key,))
        return row

    def _refuse_others(self, call: Call, key: Key, before: Row | None, after: Row | None) -> None:
        """
        Raises:
            ProblemError: it would be somebody else's, or everybody's, or lift a limit.
        """
        only_theirs(call.access, key.kind, after or before or {}, self._client)
        if key.kind == "management_token":
            only_shut_out(call.access, before, after)

    def _client(self, client_id: str) -> Mapping[str, Any] | None:
        body = self._mirror.config.bodies.get(Key("client", client_id))
        client: Mapping[str, Any] | None = None if body is None else json.loads(body)
        return client

    async def _add_health(self, instances: Sequence[dict[str, Any]]) -> None:
        """Say of instances what is reported of them."""
        found = await self._store.run(read_health, [one["id"] for one in instances])
        for one in instances:
            one["health"] = found.get(one["id"], {"health": "unknown"})

    def _shown(self, key: Key, row: Row, asked: WhoMayAsk) -> dict[str, Any]:
        """Return an entity with what the configuration as a whole makes of it."""
        value = shown(key.kind, row)
        bodies = self._mirror.config.bodies
        rejection = self._mirror.config.rejected.get(key)
        if rejection is not None:
            value["rejected"] = {
                "serving": rejection.serving,
                "problems": [
                    {"path": one.path, "code": one.code, "message": one.message}
                    for one in relative(key, rejection.problems)
                ],
            }
        if key.kind == "route" and key in bodies:
            value["access"] = asked.openness(json.loads(bodies[key]))
        return value


def _ownership(call: Call) -> Ownership:
    managed_by, prune = call.text("managed_by"), call.flag("prune")
    if prune and not managed_by:
        raise ProblemError(
            "invalid_parameter", "prune needs managed_by: it deletes what is so managed"
        )
    return Ownership(managed_by or None, prune, call.flag("take_over"))


def _kind(call: Call, scopes: Mapping[str, str], usual: str) -> str:
    kind = KINDS.get(call.path["kind"])
    if kind is None:
        raise ProblemError("not_found")
    call.access.require(scopes.get(kind, usual))
    return kind


def _require_scopes(call: Call, keys: Iterable[Key]) -> None:
    """Refuse to write what needs more than writing does."""
    for scope in {WRITE_SCOPES[key.kind] for key in keys if key.kind in WRITE_SCOPES}:
        call.access.require(scope)


def _key(call: Call, scopes: Mapping[str, str], usual: str) -> Key:
    kind = _kind(call, scopes, usual)
    return Key(kind, call.path["id"])


def _id_of(kind: str, row: Mapping[str, Any]) -> str:
    return str(row["key" if kind == "setting" else "id"])


def _pinned(call: Call, key: Key, version: int | None, present: Row) -> int | None:
    """Return the version in which something must still be when it is written; None: in any."""
    # Whether somebody may was looked up in what was read; and of what nobody sees, the request
    # has nothing of its own, so that what was read would be written back.
    if call.access.operator.tenants is not None or key.kind in WRITE_ONLY:
        return int(present["version"]) if version is None else version
    return version


def _keys(named: Any) -> list[Key]:
    """
    Return the keys that ``kind/id`` name, as ``route/orders`` does.

    Raises:
        ProblemError: something names none.
    """
    found = []
    for one in named if type(named) is list else (named,):
        kind, _, entity_id = one.partition("/") if type(one) is str else ("", "", "")
        if kind not in KINDS.values() or not is_slug(entity_id):
            raise ProblemError("invalid_parameter", 'delete must be a list like ["route/orders"]')
        found.append(Key(kind, entity_id))
    return found


def _what(planned: PlannedEdit) -> str:
    named = [f"{one.action} {one.key}" for one in planned.changes[:3]] or ["change nothing"]
    more = len(planned.changes) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


# Questions to the database


def _read_one(connection: Any, key: Key) -> dict[Key, Row]:
    return read_some(connection, (key,))


def _read_forms(connection: Any, sent: Mapping[Key, Any]) -> list[Form]:
    """Read what was sent over what there is; in the thread, for ten thousand take some seconds."""
    present = read_some(connection, sent)
    return [read_form(key.kind, one, present=present.get(key)) for key, one in sent.items()]


def _read_yaml(_: Any, content: bytes) -> Entities:
    """Read a file as it was sent; in the thread, too, though it asks the database nothing."""
    # (Nothing may be what is left of a file that was cut off, and pruning by it deletes all.)
    return parse_entities(content, may_be_empty=False)


def _export(connection: Any, kinds: Sequence[str], managed_by: str, full: bool) -> str:
    with snapshot(connection):
        rows = read_rows(connection, kinds)
    if managed_by:
        rows = {key: row for key, row in rows.items() if row.get("managed_by") == managed_by}
    return write_document(rows, full=full)
