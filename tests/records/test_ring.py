"""What is kept of exchanges, and how it is found again."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.forward_error import ForwardError
from fengling_gateway.records.blame import Fault, fault_of, verdict
from fengling_gateway.records.notable import KINDS, kind_of, waited
from fengling_gateway.records.plain import to_json
from fengling_gateway.records.redaction import Redaction
from fengling_gateway.records.ring import COUNTED_SECONDS, COUNTED_SPANS, OVERHEAD_BYTES, Ring
from fengling_gateway.records.search import Found, Sight, Sought, by_id, look, told
from tests.records.test_lines import FIRST, SECOND, ended

NOTHING_HIDDEN = Redaction((), ())
CODES = ("connect_failed", "no_route", None)


def document(number: int = 0, **different: Any) -> dict[str, Any]:
    """Return an exchange as workers tell it."""
    usual = to_json(ended(request_id=b"r-%d" % number), NOTHING_HIDDEN)
    return {**usual, "kind": "failed", "worker": "w0", **different}


def attempts(*instances: str) -> list[dict[str, Any]]:
    return [{"instance": one, "address": f"http://{one}", "error": None} for one in instances]


documents = st.builds(
    lambda error, status, names, tenant, at, **more: document(
        error=error,
        kind="failed" if error else "slow",
        status=status,
        attempts=attempts(*names),
        tenant=tenant,
        at=at,
        **more,
    ),
    error=st.sampled_from(CODES),
    status=st.sampled_from((200, 404, 502)),
    names=st.lists(st.sampled_from(("a", "b")), max_size=3),
    tenant=st.sampled_from((None, "acme", "brix")),
    at=st.integers(0, 20),
    route=st.sampled_from((None, "r1", "r2")),
    service=st.sampled_from((None, "s1")),
    target=st.text(max_size=200),
)
soughts = st.builds(
    Sought,
    since=st.none() | st.integers(0, 20),
    until=st.none() | st.integers(0, 20),
    kind=st.none() | st.sampled_from(KINDS),
    error=st.none() | st.sampled_from(CODES),
    fault=st.none() | st.sampled_from(("client", "instance", "gateway")),
    statuses=st.none() | st.sampled_from(((500, 599), (404, 404))),
    route=st.none() | st.just("r1"),
    service=st.none() | st.just("s1"),
    instance=st.none() | st.just("a"),
    request_id=st.none() | st.just("r-0"),
    tenants=st.none() | st.just(frozenset(("acme",))),
)


class Model:
    """The same as a `Ring`, of a list."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.all: list[dict[str, Any]] = []

    def kept(self) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = []
        room = self.most_bytes
        for one in self.all[::-1][: self.most]:
            room -= len(json.dumps(one, separators=(",", ":"))) + OVERHEAD_BYTES
            if room < 0:
                break
            kept.append(one)
        return kept


def whose(one: dict[str, Any]) -> str:
    if one["error"] is None:
        return "instance" if one["attempts"] else "gateway"
    return {"connect_failed": "instance", "no_route": "client"}[one["error"]]


def meets(one: dict[str, Any], sought: Sought) -> bool:
    low, high = sought.statuses or (0, 999)
    instances = [each["instance"] for each in one["attempts"]]
    return all(
        (
            sought.since is None or one["at"] >= sought.since,
            sought.until is None or one["at"] <= sought.until,
            sought.kind in (None, one["kind"]),
            sought.error in (None, one["error"]),
            sought.fault in (None, whose(one)),
            low <= one["status"] <= high,
            sought.route in (None, one["route"]),
            sought.service in (None, one["service"]),
            sought.request_id in (None, one["request_id"]),
            sought.instance is None or sought.instance in instances,
            sought.tenants is None or one["tenant"] in sought.tenants,
        )
    )


def pages(ring: Ring, sought: Sought, limit: int) -> tuple[list[dict[str, Any]], Found]:
    """Return what all pages have, and the first of them."""
    after, items, first = None, [], None
    while True:
        found = Found(after=after, limit=limit)
        for _ in look(ring, sought, found):
            pass
        first = first or found
        assert len(found.items) <= limit
        items += found.items
        after = found.next
        if after is None:
            return items, first


@given(
    st.lists(documents, max_size=30),
    st.integers(1, 12),
    st.integers(1000, 30_000),
    soughts,
    st.integers(1, 5),
)
def test_ring_is_the_end_of_a_list(
    told: list[dict[str, Any]], most: int, most_bytes: int, sought: Sought, limit: int
) -> None:
    """Of the newest that fit, those that are looked for are found, newest first, on whatever pages."""
    ring, model = Ring(most=most, most_bytes=most_bytes), Model(most, most_bytes)
    for one in told:
        ring.add(one)
        model.all.append(one)
    kept = model.kept()
    assert [one.document() for one in ring.newest_first()] == kept
    assert ring.bytes <= most_bytes
    values = ring.values()
    assert (values["told"], values["pushed_out"]) == (len(told), len(told) - len(kept))
    expected = [one for one in kept if meets(one, sought)]
    items, first = pages(ring, sought, limit)
    assert [{name: one[name] for name in told[0]} for one in items] == expected
    assert first.count == len(expected)
    counts = Counter(
        (
            one["kind"],
            one["error"],
            one["service"],
            None if one["error"] else one["status"],
            list(dict.fromkeys(each["instance"] for each in one["attempts"]))[-1:],
        ).__repr__()
        for one in expected
    )
    assert sorted(one["count"] for one in first.summary()) == sorted(counts.values())
    assert first.groups == len(counts)


def test_bytes_are_those_of_what_is_kept() -> None:
    """A few large ones push out many small ones."""
    ring = Ring(most=1000, most_bytes=100_000)
    for number in range(60):
        ring.add(document(number))
    small = len(ring)
    for number in range(3):
        ring.add(document(number, target="x" * 40_000))
    assert small > 50
    assert [one.request_id for one in ring.newest_first()] == ["r-2", "r-1"]
    assert ring.bytes <= 100_000


def test_what_was_left_out_is_counted_for_an_hour() -> None:
    """By error, in spans of some seconds, of which no more are kept."""
    ring = Ring(most=10, most_bytes=1 << 20)
    for number in range(COUNTED_SPANS + 50):
        ring.leave_out({"no_route": 2, "slow": 1}, 1000.0 + COUNTED_SECONDS * number)
    ring.leave_out({"no_route": 1}, 0.0)  # a clock that was set back
    total = {"no_route": 2 * COUNTED_SPANS + 1, "slow": COUNTED_SPANS}
    assert ring.left_out(0.0) == total
    newest = 1000.0 + COUNTED_SECONDS * (COUNTED_SPANS + 49)
    assert ring.left_out(newest + 1) == {"no_route": 3, "slow": 1}
    assert ring.left_out(newest + COUNTED_SECONDS) == {}


def test_all_with_a_request_id_are_found() -> None:
    """Newest first; of other tenants there is nothing."""
    ring = Ring(most=100, most_bytes=1 << 20)
    for number, tenant in enumerate(("acme", "brix", "acme", None)):
        ring.add(document(7, tenant=tenant, sent=number))
    ring.add(document(8))

    def sent(tenants: frozenset[str] | None) -> list[int]:
        return [one.document()["sent"] for one in by_id(ring, "r-7", tenants)]

    assert sent(None) == [3, 2, 1, 0]
    assert sent(frozenset(("acme",))) == [2, 0]
    assert by_id(ring, "r-9", None) == []


def test_who_sees_a_tenant_sees_nothing_behind_the_gateway() -> None:
    """Neither in exchanges nor in what they sum up to, but for what is the tenant's own."""
    ring = Ring(most=100, most_bytes=1 << 20)
    ring.add(document(1, tenant="acme", attempts=attempts("shared", "own"), route="r1"))
    ring.add(document(2, tenant="acme", attempts=attempts("shared"), route="own-r"))
    ring.add(document(3, tenant="brix", attempts=attempts("own")))
    sight = Sight(is_visible=lambda _, name: name.startswith("own"))
    found = Found(after=None, limit=10, sight=sight)
    for _ in look(ring, Sought(tenants=frozenset(("acme",))), found):
        pass
    second, first = found.items
    assert [one["instance"] for one in first["attempts"]] == [None, "own"]
    assert [one["address"] for one in first["attempts"]] == [None, "http://own"]
    assert [(one["route"], one["service"]) for one in (first, second)] == [
        (None, None),
        ("own-r", None),
    ]
    hidden = ("peer", "listener", "worker")
    assert [first[name] for name in hidden] == [None] * 3
    summary = {(one["service"], one["instance"]): one["routes"] for one in found.summary()}
    assert summary == {(None, "own"): [], (None, None): ["own-r"]}


def test_who_asked_is_not_for_everybody() -> None:
    """Nor what for: of a target there is the path."""
    ring = Ring(most=1, most_bytes=1 << 20)
    one = ring.add(document(1, subject="alice", target="/orders?of=alice"))
    seen = told(one, Sight(sees_people=False))
    assert (seen["target"], seen["route"], seen["service"]) == ("/orders", "orders", "shop")
    people = ("client", "peer", "subject", "user_agent")
    assert [seen[name] for name in people] == [None] * 4
    assert told(ring.add(document(1, target=None)), Sight(sees_people=False))["target"] is None


class NotableTests:
    def test_an_exchange_is_kept_for_one_reason(self) -> None:
        """A failure with a name, a bad answer of an instance, or a late one."""
        broken = ended(status=500)
        assert kind_of(ended(error=ForwardError.NO_ROUTE), 10.0) == "failed"
        assert kind_of(broken, 10.0) == "answered"
        assert kind_of(broken._replace(attempts=()), 10.0) is None
        assert kind_of(ended(), 10.0) is None
        assert kind_of(ended(), 0.006) == "slow"

    def test_only_the_first_byte_makes_it_slow(self) -> None:
        """A stream or a tunnel is no slow answer, however long it lasts."""
        assert waited(ended(seconds=3600.0)) == FIRST.began + 0.0022 + 0.004
        assert kind_of(ended(seconds=3600.0, status=101), 10.0) is None
        assert waited(ended(seconds=4.0, attempts=())) == 4.0
        assert waited(ended(seconds=4.0, attempts=(SECOND._replace(seconds=None),))) == 4.0


class BlameTests:
    def test_every_failure_is_somebodys(self) -> None:
        """By its side, or as it is said of it; nothing is the gateway's that an operator can mend."""
        faults = {one.code: fault_of(one) for one in ForwardError}
        gateways = {code for code, fault in faults.items() if fault is Fault.GATEWAY}
        assert gateways == {"overloaded", "internal_error"}
        assert faults["no_route"] is Fault.CLIENT
        assert faults["connect_failed"] is Fault.INSTANCE
        assert faults["no_instance"] is Fault.INSTANCE
        assert faults["route_switched_off"] is Fault.OPERATOR

    def test_it_is_said_what_it_means(self) -> None:
        """Also of what has no name of its own, or one that is not known here."""
        error = ForwardError.FIRST_BYTE_TIMEOUT
        assert verdict("failed", error.code, was_asked=True) == ("instance", error.title)
        assert verdict("answered", None, was_asked=True)[0] == "instance"
        assert verdict("slow", None, was_asked=False)[0] == "gateway"
        assert verdict("failed", "of_tomorrow", was_asked=True)[0] == "gateway"
