"""Which Services are discovered, and which are approved by a rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from fengling_gateway.kubernetes.objects import ObjectName


class Selector(NamedTuple):
    """Labels that a Service must have; None stands for any value."""

    wanted: tuple[tuple[str, str | None], ...]

    def __str__(self) -> str:
        return ",".join(name if value is None else f"{name}={value}" for name, value in self.wanted)

    def takes(self, labels: Mapping[str, str]) -> bool:
        return all(
            name in labels and (value is None or labels[name] == value)
            for name, value in self.wanted
        )


def parse_selector(text: str) -> Selector:
    """
    Read ``managed-by=fengling,tier`` as Kubernetes does, equality only.

    Raises:
        ValueError: it is none of that.
    """
    wanted = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, sign, value = part.partition("=")
        value = value.removeprefix("=") if sign else value
        if not name.strip() or any(one in part for one in "!() "):
            raise ValueError(f'"{part}" is no label, nor label=value')
        wanted.append((name.strip(), value.strip() if sign else None))
    if not wanted:
        raise ValueError("it selects everything: name a label")
    return Selector(tuple(wanted))


def approving_rule(name: ObjectName, rules: Iterable[str]) -> str | None:
    """Return the first rule, a pattern of ``namespace/name``, that approves a Service."""
    # (Part by part, so that no * reaches over the slash into other namespaces.)
    for rule in rules:
        namespace, _, pattern = rule.partition("/")
        if fnmatchcase(name.namespace, namespace) and fnmatchcase(name.name, pattern or "*"):
            return rule
    return None
