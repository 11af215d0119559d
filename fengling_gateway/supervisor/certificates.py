"""What there is to say of certificates that are served: the day decides it, and no validation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fengling_gateway.model.certificates import names_taken
from fengling_gateway.model.effective import EffectiveConfig

WARNED_SECONDS: Final = 14 * 86400
"""Before a certificate expires. Those that renew by themselves do it some 30 days before."""

SHOWN: Final = 100
"""Warnings, and certificates with a series of their own, at most."""

_DAY: Final = 86400


class CertificateWatch:
    """Looks at the certificates of a configuration, whose bodies it reads once each revision."""

    def __init__(self, config: EffectiveConfig) -> None:
        self._config = config
        self._read_of: tuple[int, int] | None = None
        self._certificates: list[dict[str, Any]] = []

    def warnings(self, now: float) -> list[dict[str, str]]:
        """Return what somebody should see to, the most urgent first; `now` is epoch seconds."""
        certificates = self._all()
        dated = [(one["not_after"], one, _validity(one, now)) for one in certificates]
        found = [
            _warning(one["id"], why)
            for _, one, why in sorted(dated, key=lambda item: (item[0], item[1]["id"]))
            if why is not None
        ]
        return [*found, *_shadowed(certificates)][:SHOWN]

    def expiries(self) -> dict[str, int]:
        """Return when certificates expire, in epoch seconds: of the first ones."""
        soonest = sorted(self._all(), key=lambda one: (one["not_after"], one["id"]))
        return {one["id"]: one["not_after"] for one in soonest[:SHOWN]}

    def _all(self) -> list[dict[str, Any]]:
        config = self._config
        count = config.count("certificate")
        if self._read_of != (config.content_hash, count):
            self._read_of = config.content_hash, count
            self._certificates = (
                [
                    json.loads(body)
                    for key, body in config.bodies.items()
                    if key.kind == "certificate"
                ]
                if count
                else []
            )
        return self._certificates


def _validity(certificate: Mapping[str, Any], now: float) -> str | None:
    end, begin = certificate["not_after"], certificate["not_before"]
    if end <= now:
        return f"has expired on {_date(end)}"
    if begin > now:
        return f"is not valid before {_date(begin)}"
    if end <= now + WARNED_SECONDS:
        days = int((end - now) // _DAY)
        when = "within a day" if days == 0 else f"in {days} day{'' if days == 1 else 's'}"
        return f"expires {when}, on {_date(end)}"
    return None


def _shadowed(certificates: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    for name, ids in sorted(names_taken(certificates).items()):
        for other in ids[1:]:
            yield _warning(other, f"is not offered for {name}: {ids[0]} is, whose id comes first")


def _warning(certificate_id: str, why: str) -> dict[str, str]:
    return {
        "kind": "certificate",
        "id": certificate_id,
        "message": f"certificate {certificate_id} {why}",
    }


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
