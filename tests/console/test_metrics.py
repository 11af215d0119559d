"""What a console tells Prometheus of a cluster that it follows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fengling_gateway.console.metrics import render


def rendered(*, is_mine: bool = True, **status: Any) -> str:
    """Return the metrics of a console that may follow a cluster, of which it says this."""
    return render(
        mirror=SimpleNamespace(position=None, problem=None, config=SimpleNamespace(rejected={})),
        store=SimpleNamespace(questions=0, failures=0),
        fleet=SimpleNamespace(states={}),
        events=_Events(),
        refusals={},
        discovery=SimpleNamespace(
            is_mine=is_mine,
            status=lambda: status,
            counts=SimpleNamespace(revisions=41, failures=2),
        ),
    )


class _Events:
    told = 0

    def __len__(self) -> int:
        return 0


def resource(**values: Any) -> dict[str, Any]:
    usual = {"resource": "services", "state": "watching", "objects": 3, "problem": None}
    return {**usual, **values}


def lines(text: str, about: str) -> set[str]:
    prefix = f"fengling_console_kubernetes_{about}"
    return {line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)}


def test_resource_is_told_once_and_broken_where_it_can_not_be_watched() -> None:
    """In whichever namespace; what a cluster need not have is not broken where it has none."""
    text = rendered(
        resources=[
            resource(namespace="shop"),
            resource(namespace="billing", state="forbidden", problem="403", objects=0),
            resource(resource="endpointslices"),
            resource(resource="httproutes", state="absent", problem="404", objects=0),
            resource(
                resource="referencegrants",
                state="absent",
                problem="404",
                objects=0,
                is_optional=True,
            ),
        ]
    )
    assert lines(text, "resources_broken") == {
        '{resource="endpointslices"} 0.0',
        '{resource="httproutes"} 1.0',
        '{resource="referencegrants"} 0.0',
        '{resource="services"} 1.0',
    }
    assert '{resource="services"} 3.0' in lines(text, "objects")


def test_what_is_not_written_is_told() -> None:
    """With what is kept until somebody confirms it."""
    writing = {"waiting": 4, "refused": 2, "removal": {"routes": 600}}
    text = rendered(writing=writing)
    for name, value in (("entities_waiting", 4), ("entities_refused", 2), ("routes_withheld", 600)):
        assert lines(text, name) == {f" {value}.0"}
    assert lines(text, "revisions_total") == {" 41.0"}


def test_who_does_not_follow_says_so() -> None:
    """And nothing of resources, which are somebody else's to watch."""
    text = rendered(is_mine=False)
    assert lines(text, "following") == {" 0.0"}
    assert lines(text, "resources_broken") == set()
