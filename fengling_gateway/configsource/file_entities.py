"""
The shape of a configuration file: which entities a YAML text describes.

    settings: {trusted_proxies: [10.0.0.0/8]}
    tenants: [{id: acme, hosts: [acme.example]}]
    services:
      - id: orders
        instances: [{address: "http://10.0.0.5:8080"}]
    routes:
      all: {path: "/{**rest}", service_id: orders}

Each section is a list, or a mapping from ids to fields. Rows come out as they
would from a table; what is wrong with one entity (an unknown field, a second
definition) rejects that entity and is named with its line, what is wrong with
the file as such (no YAML, an unknown section) refuses the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from fengling_gateway.configsource.file_yaml import Lines, YamlError, read_yaml
from fengling_gateway.configsource.reading import Row, SourceError
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import owner
from fengling_gateway.model.problems import Report, label, shown, suggestion
from fengling_gateway.model.validation import KNOWN_FIELDS, SOURCE_PROBLEMS

MAX_FILE_BYTES: Final = 64 * 1024 * 1024

SECTIONS: Final = {
    "settings": "setting",
    "tenants": "tenant",
    "secrets": "secret",
    "certificates": "certificate",
    "issuers": "issuer",
    "clients": "client",
    "api_keys": "api_key",
    "management_tokens": "management_token",
    "services": "service",
    "instances": "instance",
    "routes": "route",
}

# Columns that a row may have besides what is validated: an export writes some.
_ROW_FIELDS: Final = ("labels", "managed_by", "version", "created_at", "updated_at")
_NESTED: Final = "instances"
_UNSHOWN: Final = ("secret", "api_key")
_NOT_IN_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]+")
_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# No dash in the host, and not digits only: that would be a port.
_PLAIN_ADDRESS: Final = re.compile(r"http://(?![0-9]+(?::|$))[A-Za-z0-9._]*[A-Za-z0-9](?::[0-9]+)?")
_MAX_ID: Final = 100
_DIGEST_BYTES: Final = 5


class FileError(SourceError):
    """The file as a whole can't be used; ``problems`` are sentences, most with a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems[:10]))
        self.problems = problems


@dataclass(slots=True)
class Entities:
    """What a file describes: rows, and the line on which each entity begins."""

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Row]:
        return (Row(key, values) for key, values in self.rows.items())


def parse_entities(content: bytes, *, may_be_empty: bool = True) -> Entities:
    """
    Read the text of a configuration file.

    Args:
        may_be_empty: whether a text that says nothing, not even ``{}``, is a file
            without entities.

    Raises:
        FileError: it can't be used at all.
    """
    if len(content) > MAX_FILE_BYTES:
        raise FileError([f"must have at most {MAX_FILE_BYTES} bytes, not {len(content)}"])
    try:
        document, lines = read_yaml(content)
    except YamlError as error:
        raise FileError([str(error)]) from error
    if document is None and may_be_empty:
        document = {}
    if type(document) is not dict:
        raise FileError([f"must have sections ({', '.join(SECTIONS)}), not {shown(document)}"])
    return _Reader(document, lines).read()


class _Reader:
    def __init__(self, document: dict[Any, Any], lines: Lines) -> None:
        self._document = document
        self._lines = lines
        self._entities = Entities()

    def read(self) -> Entities:
        problems = list(self._file_problems())
        if problems:
            raise FileError(problems)
        at = self._lines.fields.get(id(self._document), {})
        for section, content in self._document.items():
            if content is not None:
                self._read_section(SECTIONS[section], content, at[section])
        return self._entities

    def _file_problems(self) -> Iterator[str]:
        at = self._lines.fields.get(id(self._document), {})
        for name, line, first in self._lines.repeated.get(id(self._document), []):
            yield f"line {line}: section {label(name)} is already on line {first}"
        for name, content in self._document.items():
            where = f"line {at.get(name, 1)}"
            if name not in SECTIONS:
                near = suggestion(name, tuple(SECTIONS))
                yield f"{where}: {label(name)} is not a known section; {near}"
            elif content is not None and type(content) is not dict and type(content) is not list:
                given = _given(SECTIONS[name], content)
                yield f"{where}: {name} must be a list or a mapping{given}"
            elif name == "settings" and type(content) is list:
                yield f"{where}: settings must be a mapping from names to values"

    def _read_section(self, kind: str, content: Any, section_line: int) -> None:
        if type(content) is list:
            line = section_line
            for values in content:
                # What is no mapping has no line of its own: name the one before.
                line = self._line_of(values) or line
                self._add(kind, None, values, line)
            return
        at = self._lines.fields.get(id(content), {})
        for name, values in content.items():
            line = at.get(name, self._line_of(values))
            if kind == "setting":
                self._put(Key(kind, str(name)), {"key": str(name), "value": values}, line, [])
            else:
                self._add(kind, name, {} if values is None else values, line)
        for name, line, _ in self._lines.repeated.get(id(content), []):
            self._repeat(Key(kind, name if type(name) is str else ""), line)

    def _line_of(self, values: Any) -> int:
        return self._lines.starts.get(id(values), 0)

    def _add(self, kind: str, name: Any, values: Any, line: int) -> Key:
        """Add an entity; `name` is its id where the file has it outside the fields."""
        if type(values) is not dict:
            entity_id = name if type(name) is str and name else f"line-{line}"
            problem = f"line {line}: must have fields{_given(kind, values)}"
            return self._put(Key(kind, entity_id), {}, line, [problem])
        problems = list(self._field_problems(kind, values))
        # An id is text, whatever it looks like: 08 is not 8, and 1e5 is one, too.
        as_written = self._lines.ids.get(id(values))
        values = dict(values) if as_written is None else {**values, "id": as_written}
        nested = values.pop(_NESTED, None) if kind == "service" else None
        key = Key(kind, self._identify(kind, name, values, line, problems))
        self._put(key, values, line, problems)
        if nested is not None:
            self._add_nested(key, nested, line)
        return key

    def _identify(
        self, kind: str, name: Any, values: dict[Any, Any], line: int, problems: list[str]
    ) -> str:
        """Return an entity's id; ``name`` is what it is called outside its fields."""
        given = values.get("id", name)
        if type(given) is str:
            if name is not None and name != given:
                problems.append(f"line {line}: is called {shown(name)} and has id {shown(given)}")
            return given
        if given is None and kind == "instance":
            return instance_id(values)
        problems.append(f"line {line}: must have an id, which is text")
        return f"line-{line}"

    def _field_problems(self, kind: str, values: dict[Any, Any]) -> Iterator[str]:
        known = KNOWN_FIELDS[kind] + ((_NESTED,) if kind == "service" else ())
        at = self._lines.fields.get(id(values), {})
        for name in values:
            if name not in known and name not in _ROW_FIELDS:
                near = suggestion(name, known)
                yield f"line {at.get(name, 0)}: {label(name)} is not a known field; {near}"
        # No part of what is validated: nobody else looks at these two.
        labels = values.get("labels")
        if labels is not None and type(labels) is not dict:
            yield f"line {at['labels']}: labels must be a mapping, not {shown(labels)}"
        report = Report()
        owner(values.get("managed_by"), report)
        for _, _, message in report.found:
            yield f"line {at['managed_by']}: managed_by {message}"
        if self._lines.repeated:
            yield from self._repeated_within(values)

    def _repeated_within(self, values: Any) -> Iterator[str]:
        """Name the fields that an entity has twice, at any depth."""
        seen: set[int] = set()
        left = [values]
        while left:
            inner = left.pop()
            if id(inner) in seen:  # by an alias
                continue
            seen.add(id(inner))
            for name, line, first in self._lines.repeated.get(id(inner), []):
                yield f"line {line}: {label(name)} is already on line {first}"
            if type(inner) is dict or type(inner) is list:
                left.extend(inner.values() if type(inner) is dict else inner)

    def _add_nested(self, service: Key, nested: Any, line: int) -> None:
        """Add the instances that are written within their service."""
        if type(nested) is list:
            named: list[tuple[Any, Any]] = [(None, values) for values in nested]
        elif type(nested) is dict:
            named = list(nested.items())
        else:
            self._note(service, f"line {line}: instances must be a list, not {shown(nested)}")
            return
        for name, values in named:
            at = self._line_of(values) or line
            if type(values) is dict:
                wrong = values.get("service_id", service.id) != service.id
                with_service = {"service_id": service.id, **values}
                self._lend_lines(values, with_service)
                key = self._add("instance", name, with_service, at)
                if wrong:
                    self._note(key, f"line {at}: is within service {service.id}, not its own")
            else:
                self._note(service, f"line {at}: an instance must have fields, not {shown(values)}")

    def _lend_lines(self, original: dict[Any, Any], copy: dict[Any, Any]) -> None:
        tables: tuple[dict[int, Any], ...] = (
            self._lines.starts,
            self._lines.fields,
            self._lines.repeated,
            self._lines.ids,
        )
        for known in tables:
            if id(original) in known:
                known[id(copy)] = known[id(original)]
        self._lines.kept.append(copy)

    def _put(self, key: Key, values: dict[str, Any], line: int, problems: list[str]) -> Key:
        if key in self._entities.rows:
            self._repeat(key, line)
            return key
        self._entities.rows[key] = values
        self._entities.lines[key] = line
        for problem in problems:
            self._note(key, problem)
        return key

    def _repeat(self, key: Key, line: int) -> None:
        first = self._entities.lines.get(key, 0)
        self._note(key, f"line {line}: is defined again; the first time is on line {first}")

    def _note(self, key: Key, problem: str) -> None:
        values = self._entities.rows.get(key)
        if values is not None:
            values.setdefault(SOURCE_PROBLEMS, []).append(problem)


def _given(kind: str, value: Any) -> str:
    """Say what is there instead, unless that may be a secret, or a key."""
    return "" if kind in _UNSHOWN else f", not {shown(value)}"


def instance_id(values: dict[Any, Any]) -> str:
    """
    Make an id that is the same for the same instance, wherever it is in the file.

    It is service, host and port where those can be told apart in it: where the
    last dash that is not in front of a port ends the service. All others, and what
    is too long, end in a digest, so that no two instances get the same.
    """
    given = [values.get("service_id"), values.get("tenant_id"), values.get("address")]
    parts = [part if type(part) is str else "" for part in given]
    # (A password in an address is a problem of its own, and part of no id.)
    hosts = [(part.partition("://")[2] or part).rpartition("@")[2] for part in parts if part]
    name = _NOT_IN_SLUG.sub("-", "-".join(hosts)).strip("-._")
    service, tenant, address = parts
    plain = _SLUG.fullmatch(service) and not tenant and _PLAIN_ADDRESS.fullmatch(address)
    if plain and len(name) <= _MAX_ID:
        return name
    digest = blake2b("\0".join(parts).encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{name[: _MAX_ID - len(digest) - 1] or 'instance'}-{digest}"
