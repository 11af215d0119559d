"""Which series a host has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.observability.places import OTHER, Places, Room

ROUTES = st.sampled_from(["", "a", "b", "c", "d", OTHER])
SERVICES = st.sampled_from(["", "s", "t", "u", OTHER])
ROWS = st.dictionaries(
    st.tuples(ROUTES, SERVICES),
    st.tuples(
        st.lists(st.integers(0, 5), min_size=6, max_size=6),
        st.dictionaries(st.sampled_from(["e", "f", "g"]), st.integers(1, 5)),
    ),
    max_size=12,
)
Found = Mapping[tuple[str, str], tuple[list[int], dict[str, int]]]


def shown(places: Places, found: Found) -> dict[tuple[str, str], tuple[list[int], dict[str, int]]]:
    rows = places.rows(
        [[*key, list(classes), dict(errors)] for key, (classes, errors) in found.items()]
    )
    listed = [((route, service), (by_class, errors)) for route, service, by_class, errors in rows]
    assert len({key for key, _ in listed}) == len(listed), "a pair is there twice"
    return dict(listed)


def sums(found: Found) -> tuple[list[int], dict[str, int]]:
    classes, errors = [0] * 6, {"e": 0, "f": 0, "g": 0}
    for by_class, by_error in found.values():
        for index, number in enumerate(by_class):
            classes[index] += number
        for error, number in by_error.items():
            errors[error] += number
    return classes, errors


@given(ROWS, st.integers(0, 4))
def test_nothing_is_lost_or_counted_twice(found: Found, size: int) -> None:
    """Whatever has no place of its own is among the others."""
    assert sums(shown(Places(size), found)) == sums(found)


@given(st.lists(ROWS, min_size=2, max_size=4), st.integers(0, 4))
def test_counters_never_go_back(changes: list[Found], size: int) -> None:
    """While the counters that they are made of do not, and nothing is deleted."""
    places, before, total = Places(size), {}, {}
    for more in changes:
        for key, (classes, errors) in more.items():
            old_classes, old_errors = total.get(key, ([0] * 6, {}))
            total[key] = (
                [a + b for a, b in zip(classes, old_classes, strict=True)],
                {
                    error: errors.get(error, 0) + old_errors.get(error, 0)
                    for error in {*errors, *old_errors}
                },
            )
        now = shown(places, total)
        for key, (classes, errors) in before.items():
            new_classes, new_errors = now.get(key, ([0] * 6, {}))
            assert all(a >= b for a, b in zip(new_classes, classes, strict=True))
            assert all(new_errors.get(error, 0) >= number for error, number in errors.items())
        before = now


def test_there_are_not_more_series_than_places() -> None:
    """However many pairs there are, and whatever they are answered."""
    found: Any = {
        (f"r{number}", f"s{number}"): ([1] * 6, {f"e{one}": 1 for one in range(9)})
        for number in range(5000)
    }
    places = Places(1200)
    for _ in range(2):
        rows = shown(places, found)
        own = [(key, one) for key, one in rows.items() if key[0] != OTHER]
        assert sum(sum(map(bool, classes)) for _, (classes, _) in own) == 3000
        assert sum(len(errors) for _, (_, errors) in own) == 300
        assert {service for route, service in rows if route == OTHER} <= {
            *(f"s{number}" for number in range(100)),
            OTHER,
        }


def test_place_of_what_is_gone_is_given_to_what_comes() -> None:
    """Not to what has counted as another: that would go back and come again."""
    room = Room(1)
    assert [room.has(one) for one in "ab"] == [True, False]
    room.forget({"a"})
    assert [room.has(one) for one in "bc"] == [False, True]


def test_services_have_histograms_of_their_own_while_there_are_places() -> None:
    """The others are added up."""
    found: Any = {name: {"latency": [1, 2.0]} for name in ["", "a", "b", "c"]}
    assert Places(12).services(found) == {
        "": {"latency": [1, 2.0]},
        "a": {"latency": [1, 2.0]},
        OTHER: {"latency": [2, 4.0]},
    }
