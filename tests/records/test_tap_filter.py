"""Which requests somebody wants to see."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.records.ended import Ended
from fengling_gateway.records.tap_filter import TapFilter, statuses
from tests.records.test_lines import Head, ended


def takes(one: Ended, **said: Any) -> bool:
    """Whether a filter takes it, as a worker is told of it."""
    told = json.loads(json.dumps(TapFilter(**said).to_json()))
    return TapFilter.from_json(told).compiled()(one)


def test_one_that_says_nothing_takes_all() -> None:
    """What was no request, too."""
    assert takes(ended())
    assert takes(ended(head=None, status=400, tenant=None))


@pytest.mark.parametrize(
    ("said", "does", "does_not"),
    [
        ({"routes": ["orders", "x"]}, {"route": "orders"}, {"route": "order"}),
        ({"services": ["shop"]}, {"service": "shop"}, {"service": ""}),
        ({"statuses": [(500, 599), (404, 404)]}, {"status": 404}, {"status": 403}),
        ({"statuses": [(0, 0)]}, {"status": 0}, {"status": 200}),
        ({"slower_than": 0.2}, {"seconds": 0.2}, {"seconds": 0.199}),
        ({"clients": ["198.51.100.7"]}, {}, {"client": "198.51.100.70"}),
        ({"clients": ["198.51.100.7/24", "::1"]}, {"client": "198.51.100.255"}, {"client": "::2"}),
        ({"clients": ["2001:db8::/32"]}, {"client": "2001:db8:0:0::1"}, {"client": "unix"}),
        ({"methods": ["GET"]}, {}, {"head": None}),
        ({"path_prefix": "/orders?id"}, {}, {"head": Head(target=b"/order")}),
        ({"path_prefix": "/o"}, {}, {"head": None}),
        ({"tenants": ["acme"]}, {"tenant": "acme"}, {"tenant": None}),
        ({"tenants": []}, None, {"tenant": None}),
    ],
)
def test_what_is_said_has_to_fit(said: Any, does: Any, does_not: Any) -> None:
    if does is not None:
        assert takes(ended(**does), **said)
    assert not takes(ended(**does_not), **said)


_ids = st.sampled_from(["", "a", "b", "c"])
_addresses = st.sampled_from(["10.0.0.1", "10.0.1.1", "2001:db8::1", "odd"])
_networks = st.sampled_from(["10.0.0.0/24", "10.0.0.1", "2001:db8::/64"])


@given(
    one=st.fixed_dictionaries(
        {
            "route": _ids,
            "service": _ids,
            "status": st.sampled_from([0, 200, 404, 499, 500, 599]),
            "seconds": st.sampled_from([0.0, 0.1, 0.2]),
            "client": _addresses,
            "tenant": st.sampled_from([None, "acme"]),
        }
    ),
    said=st.fixed_dictionaries(
        {},
        optional={
            "routes": st.lists(_ids, max_size=2),
            "services": st.lists(_ids, max_size=2),
            "statuses": st.lists(st.sampled_from([(400, 499), (500, 500)]), max_size=2),
            "slower_than": st.sampled_from([0.0, 0.1]),
            "clients": st.lists(_networks, max_size=2),
            "tenants": st.sampled_from([None, ["acme"]]),
        },
    ),
)
def test_all_of_it_has_to_fit(one: dict[str, Any], said: dict[str, Any]) -> None:
    """As if each were judged by itself."""

    def is_client(text: str) -> bool:
        try:
            return ip_address(one["client"]) in ip_network(text)
        except ValueError:
            return False

    expected = [
        not said.get("routes") or one["route"] in said["routes"],
        not said.get("services") or one["service"] in said["services"],
        not said.get("statuses")
        or any(low <= one["status"] <= high for low, high in said["statuses"]),
        one["seconds"] >= said.get("slower_than", 0.0),
        not said.get("clients") or any(map(is_client, said["clients"])),
        said.get("tenants") is None or one["tenant"] in said["tenants"],
    ]
    assert takes(ended(**one), **said) is all(expected)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("404", (404, 404)),
        ("5xx", (500, 599)),
        ("5XX", (500, 599)),
        ("400-499", (400, 499)),
        ("499-400", (400, 499)),
        *((text, None) for text in ("", "5", "xxx", "40", "4000", "400-", "-", "4x4", "٤٠٤")),
    ],
)
def test_statuses_as_people_write_them(text: str, pair: Any) -> None:
    assert statuses(text) == pair
