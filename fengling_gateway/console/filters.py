"""
Lists of entities: what somebody looks for, as SQL, and a page of it in the order of ids.

Nothing that is asked for becomes part of a statement: names are ours, values are parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from psycopg2 import sql

from fengling_gateway.access.parameters import is_id, is_line
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.configsource.postgres_rows import ID_COLUMN
from fengling_gateway.editing.rows import parsed, prepare, select

NOBODY: Final = "-"
"""Looks for what has no tenant, or no service: it is no id."""

MAX_WORDS: Final = 10
MAX_TEXT: Final = 200

_ID: Final = sql.SQL("t.id")
_HOSTS: Final = sql.SQL("array_to_string(t.hosts, ' ')")

_SEARCHED: Final[dict[str, tuple[sql.Composable, ...]]] = {
    kind: tuple(_HOSTS if name == "hosts" else sql.SQL(f"t.{name}") for name in names.split())
    for kind, names in {
        "setting": "key",
        "tenant": "id name hosts path_prefix",
        "secret": "id name",
        "certificate": "id name hosts",
        "issuer": "id name issuer",
        "client": "id name",
        "api_key": "id name client_id",
        "management_token": "id name subject",
        "service": "id name",
        "instance": "id service_id address",
        "route": "id hosts path service_id",
    }.items()
}
"""Of each kind, what has names that people know."""

_OWN_TENANT: Final = sql.SQL("t.tenant_id")
_CLIENTS_TENANT: Final = sql.SQL(
    "(SELECT c.tenant_id FROM fengling.client AS c WHERE c.id = t.client_id)"
)
_TENANTS: Final = {
    "tenant": _ID,
    **dict.fromkeys(("client", "instance", "issuer", "route"), _OWN_TENANT),
    "api_key": _CLIENTS_TENANT,
}
"""The kinds of which something is a tenant's, and what says whose. (See `console.ownership`.)"""

FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "tenant": (*_TENANTS, "management_token"),
    "service": ("instance", "route"),
    "client": ("api_key",),
    "enabled": ("tenant", "certificate", "issuer", "client", "api_key", "service", "route"),
}
"""Parameters that only some kinds have."""


def parameters_of(kind: str) -> tuple[str, ...]:
    """Return all that the list of a kind may be asked with."""
    own = (name for name, kinds in FILTERS.items() if kind in kinds)
    return ("q", *own, "label", "managed_by", "rejected", "after", "limit")


class Asks(Protocol):
    """What is asked of a request: see `fengling_gateway.console.call.Call`."""

    def text(self, name: str, default: str = "", *, most: int = 200) -> str: ...
    def id(self, name: str) -> str: ...
    def one_of(self, name: str, default: str, values: Sequence[str]) -> str: ...
    def several(self, name: str, check: Any, expected: str) -> list[str]: ...
    def flag(self, name: str) -> bool: ...
    def limit(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """
    What of a kind is looked for.

    Attributes:
        words: that are all in what people know it by, in any case.
        tenant, service: ids, or `NOBODY`.
        labels: names and values; with None a label that is there.
        managed_by: empty is nobody.
        tenants: to whose entities somebody's access is limited.
        ids: among which it is.
        after: the last id of the page before.
    """

    kind: str
    words: tuple[str, ...] = ()
    tenant: str | None = None
    service: str | None = None
    client: str | None = None
    enabled: bool | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    managed_by: str | None = None
    tenants: frozenset[str] | None = None
    ids: tuple[str, ...] | None = None
    after: str = ""
    limit: int = 100

    @classmethod
    def of(
        cls,
        kind: str,
        call: Asks,
        tenants: frozenset[str] | None = None,
        rejected: Collection[str] = (),
    ) -> Filter:
        """
        Read what a request asks for.

        Args:
            tenants: to which the credential is limited; None: to none.
            rejected: the ids of what is rejected.

        Raises:
            ProblemError: a parameter is wrong, or is none of this kind.
        """
        enabled = call.one_of("enabled", "", ("true", "false"))
        managed_by = call.several("managed_by", _is_text, "text")
        found = cls(
            kind,
            words=tuple(call.text("q", most=MAX_TEXT).split()[:MAX_WORDS]),
            tenant=_named(call, "tenant"),
            service=_named(call, "service"),
            client=call.id("client") or None,
            enabled=None if enabled == "" else enabled == "true",
            labels=tuple(map(_label, call.several("label", _is_label, "name:value, or name"))),
            managed_by=managed_by[-1] if managed_by else None,
            tenants=tenants,
            ids=tuple(rejected) if call.flag("rejected") else None,
            after=call.id("after"),
            limit=call.limit(),
        )
        for name, kinds in FILTERS.items():
            if getattr(found, name) is not None and kind not in kinds:
                raise ProblemError("invalid_parameter", f"{name} is of: {', '.join(kinds)}")
        return found

    def where(self) -> tuple[sql.Composed, list[Any]]:
        """Return the condition on ``t``, but for the page, and its parameters."""
        conditions: list[sql.Composable] = [sql.SQL("true")]
        values: list[Any] = []
        for condition, *arguments in self._conditions():
            conditions.append(condition)
            values += arguments
        return sql.SQL(" AND ").join(conditions), values

    def _conditions(self) -> Any:
        known = sql.SQL("concat_ws(' ', {})").format(sql.SQL(", ").join(_SEARCHED[self.kind]))
        for word in self.words:
            # (Columns with ids have a collation of their own.)
            yield known + sql.SQL(' COLLATE "default" ILIKE %s'), f"%{_literal(word)}%"
        yield from self._of_tenant()
        if self.service == NOBODY:
            yield (sql.SQL("t.service_id IS NULL"),)
        elif self.service is not None and self.kind == "route":
            # (`split ? id` is what the index on split knows.)
            yield sql.SQL("(t.service_id = %s OR t.split ? %s)"), self.service, self.service
        elif self.service is not None:
            yield sql.SQL("t.service_id = %s"), self.service
        if self.client is not None:
            yield sql.SQL("t.client_id = %s"), self.client
        if self.enabled is not None:
            yield sql.SQL("t.enabled = %s"), self.enabled
        for name, value in self.labels:
            if value is None:
                yield sql.SQL("t.labels ? %s"), name
            else:
                yield sql.SQL("t.labels ->> %s = %s"), name, value
        if self.managed_by == "":
            yield (sql.SQL("t.managed_by IS NULL"),)
        elif self.managed_by is not None:
            yield sql.SQL("t.managed_by = %s"), self.managed_by
        if self.ids is not None:
            yield _id(self.kind) + sql.SQL(" = ANY (%s)"), list(self.ids)

    def _of_tenant(self) -> Any:
        whose = _TENANTS.get(self.kind)
        if self.tenants is not None:
            mine = sorted(self.tenants)
            if self.kind == "management_token":
                yield sql.SQL("t.tenants <@ %s::text[]"), mine
            elif whose is None:
                yield (sql.SQL("false"),)
            else:
                yield whose + sql.SQL(" = ANY (%s)"), mine
        if self.tenant is None:
            return
        if self.kind == "management_token":
            whose = sql.SQL("t.tenants")
        assert whose is not None
        if self.tenant == NOBODY:
            yield (whose + sql.SQL(" IS NULL"),)
        elif self.kind == "management_token":
            yield sql.SQL("%s = ANY (t.tenants)"), self.tenant
        else:
            yield whose + sql.SQL(" = %s"), self.tenant


class Page(NamedTuple):
    """
    Rows by id, in order.

    ``next`` is the id after which the list goes on; ``total`` is how many there are on all pages.
    """

    rows: list[tuple[str, dict[str, Any]]]
    next: str | None
    total: int


def page_query(wanted: Filter) -> tuple[sql.Composed, list[Any]]:
    """Return what selects a page, and one more row if there is one."""
    where, values = wanted.where()
    entity_id = _id(wanted.kind)
    if wanted.after:
        where += sql.SQL(" AND {} > %s").format(entity_id)
        values.append(wanted.after)
    rest = sql.SQL(" WHERE {} ORDER BY {} LIMIT %s").format(where, entity_id)
    return select(wanted.kind) + rest, [*values, wanted.limit + 1]


def read_page(connection: Any, wanted: Filter) -> Page:
    """Return a page, in the current transaction."""
    statement, values = page_query(wanted)
    where, counted = wanted.where()
    count = sql.SQL("SELECT count(*) FROM fengling.{} AS t WHERE {}").format(
        sql.Identifier(wanted.kind), where
    )
    with connection.cursor() as cursor:
        prepare(cursor)
        cursor.execute(statement, values)
        rows = [(key.id, row) for key, row in parsed(wanted.kind, cursor.fetchall())]
        cursor.execute(count, counted)
        [(total,)] = cursor.fetchall()
    following = rows[wanted.limit - 1][0] if len(rows) > wanted.limit else None
    return Page(rows[: wanted.limit], following, total)


def _id(kind: str) -> sql.Composable:
    return sql.SQL("t.{}").format(sql.Identifier(ID_COLUMN.get(kind, "id")))


def _named(call: Asks, name: str) -> str | None:
    """Return an id, or `NOBODY`; None where nothing is asked."""
    text = call.text(name)
    if text and text != NOBODY and not is_id(text):
        raise ProblemError("invalid_parameter", f"{name} must be an id, or {NOBODY} for none")
    return text or None


def _is_text(text: str) -> bool:
    return len(text) <= MAX_TEXT and is_line(text)


def _is_label(text: str) -> bool:
    return _is_text(text) and text.partition(":")[0] != ""


def _label(text: str) -> tuple[str, str | None]:
    name, colon, value = text.partition(":")
    return name, value if colon else None


def _literal(word: str) -> str:
    """Return what LIKE takes for exactly this text."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
