"""What status warns of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from fengling_gateway.supervisor.certificates import SHOWN, CertificateWatch
from tests.support.issued import issue

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def watch(**certificates: Any) -> CertificateWatch:
    config = EffectiveConfig()
    bodies = {}
    for name, issued in certificates.items():
        key = Key("certificate", name)
        verdict = validate(key, {"chain": issued.chain, "key_secret": "k"})
        assert isinstance(verdict, Accepted), verdict
        bodies[key] = verdict.body
    config.restore(bodies)
    return CertificateWatch(config)


def until(days: float, *names: str) -> Any:
    return issue(*(names or (f"d{days}.example",)), end=NOW + timedelta(days=days))


def messages(watch: CertificateWatch) -> list[str]:
    return [one["message"] for one in watch.warnings(NOW.timestamp())]


class WarningTests:
    def test_those_that_expire_are_named_the_most_urgent_first(self) -> None:
        """From two weeks before."""
        watched = watch(a=until(15), b=until(13.5), c=until(-1), d=until(0.5), e=until(1.5))
        assert messages(watched) == [
            "certificate c has expired on 2026-05-31 00:00:00Z",
            "certificate d expires within a day, on 2026-06-01 12:00:00Z",
            "certificate e expires in 1 day, on 2026-06-02 12:00:00Z",
            "certificate b expires in 13 days, on 2026-06-14 12:00:00Z",
        ]
        assert list(watched.expiries()) == ["c", "d", "e", "b", "a"]

    def test_one_that_is_not_valid_yet_is_named(self) -> None:
        """The clock of the host may be wrong, too."""
        early = issue("a.example", begin=NOW + timedelta(days=2))
        assert messages(watch(a=early)) == [
            "certificate a is not valid before 2026-06-03 00:00:00Z"
        ]

    def test_one_that_is_offered_to_nobody_is_named(self) -> None:
        """For each of its names that another one has."""
        watched = watch(
            b=until(99, "x.example", "z.example"), a=until(98, "x.example", "y.example")
        )
        assert messages(watched) == [
            "certificate b is not offered for x.example: a is, whose id comes first"
        ]

    def test_there_is_an_end_to_it(self) -> None:
        """However many there are."""
        old = until(-1)
        watched = watch(**{f"c{i}": old for i in range(SHOWN + 20)})
        assert len(messages(watched)) == len(watched.expiries()) == SHOWN

    def test_no_certificates_cost_nothing(self) -> None:
        """And say nothing."""
        assert watch().warnings(0.0) == []
