"""What a host's workers have counted, together."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.observability.sums import NOTHING, Past, together

RECORDS = st.lists(
    st.tuples(
        st.tuples(st.sampled_from("ab"), st.sampled_from("st")),
        st.sampled_from((200, 404, 502)),
        st.sampled_from((0.001, 0.5)),
        st.sampled_from((None, ForwardError.NO_ROUTE, ForwardError.CONNECT_FAILED)),
    )
)


def counted(records: Any, retries: int = 0) -> Counters:
    counters = Counters()
    counters.retries = retries
    counters.in_flight_now = 7
    for key, status, seconds, error in records:
        counters.record(key, status, seconds, error, seconds / 2, 10, 300)
    return counters


def comparable(values: Any) -> dict[str, Any]:
    """Without order, rounding, and what is no counter."""
    return {
        **{name: value for name, value in values.items() if not name.endswith("_now")},
        "histograms": values.get("histograms", {}),
        "requests": sorted(values["requests"]),
        "services": {
            service: {name: [round(one, 6) for one in found] for name, found in names.items()}
            for service, names in values["services"].items()
        },
    }


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_sums_are_those_of_one_that_had_counted_it_all(workers: list[Any]) -> None:
    """Whoever of them was asked."""
    each = [counted(records, retries=1).to_json() for records in workers]
    whole = counted([one for records in workers for one in records], retries=len(workers))
    assert comparable(together(each)) == comparable(whole.to_json())


def test_gauges_are_not_added_up() -> None:
    """Each worker has its own; also where they are of several things."""
    found = together([{**counted([]).to_json(), "instances_now": {"s": [1, 1]}}])
    assert not [name for name in found if name.endswith("_now")]


def test_histograms_of_no_service_are_added_up() -> None:
    """Each by its own bounds; and the parts stay as they are."""
    one = {**NOTHING, "histograms": {"lag": {"bounds": [1.0], "values": [1, 2, 3.5]}}}
    other = {**NOTHING, "histograms": {"reload": {"bounds": [2.0], "values": [1, 0, 0.5]}}}
    found = together([one, other, one])["histograms"]
    assert found == {
        "lag": {"bounds": [1.0], "values": [2, 4, 7.0]},
        "reload": {"bounds": [2.0], "values": [1, 0, 0.5]},
    }
    assert together([one])["histograms"]["lag"]["values"] == [1, 2, 3.5]


def test_nothing_is_nothing() -> None:
    """A worker that has only begun."""
    assert together([NOTHING, NOTHING])["requests"] == []


ONE = [(("a", "s"), 200, 0.001, None)]


def test_what_a_worker_had_counted_stays_when_it_is_gone() -> None:
    """And what its successor counts is added to it."""
    past = Past()
    past.told("w0/1", counted(ONE).to_json())
    past.told("w0/1", counted(ONE * 3).to_json())
    past.told("w1/2", counted(ONE).to_json())
    assert past.values == NOTHING
    past.gone("w0/1")
    past.gone("w0/1")
    past.told("w0/3", counted(ONE).to_json())
    past.gone("w0/3")
    past.gone("never-told")
    [[*key, by_class, _]] = past.values["requests"]
    assert (key, by_class[2]) == (["a", "s"], 4)


@given(st.lists(st.tuples(st.sampled_from("vw"), st.integers(0, 5), st.booleans())))
def test_a_hosts_counters_never_go_back(steps: list[tuple[str, int, bool]]) -> None:
    """Whoever dies when: a worker counts on, or is gone and begins anew."""
    past, living = Past(), dict.fromkeys("vw", 0)
    before = 0
    for worker, more, dies in steps:
        living[worker] += more
        told = {one: counted(ONE * number).to_json() for one, number in living.items()}
        for one, values in told.items():
            past.told(one, values)
        if dies:
            past.gone(worker)
            living[worker] = 0
            told.pop(worker)
        rows = together([past.values, *told.values()])["requests"]
        now = sum(sum(by_class) for _, _, by_class, _ in rows)
        assert now == before + more
        before = now
