"""Which Services are discovered, and which approved by a rule."""

from __future__ import annotations

import pytest

from fengling_gateway.kubernetes.objects import ObjectName
from fengling_gateway.kubernetes.selection import approving_rule, parse_selector


@pytest.mark.parametrize(
    ("selector", "labels", "takes"),
    [
        ("managed-by=fengling", {"managed-by": "fengling", "a": "b"}, True),
        ("managed-by=fengling", {"managed-by": "other"}, False),
        ("managed-by=fengling", {}, False),
        ("a=b,c", {"a": "b", "c": "anything"}, True),
        ("a=b,c", {"a": "b"}, False),
        ("a==b", {"a": "b"}, True),
        ("a=", {"a": ""}, True),
    ],
)
def test_labels_are_selected(selector: str, labels: dict[str, str], takes: bool) -> None:
    """All of them must be there."""
    assert parse_selector(selector).takes(labels) is takes


@pytest.mark.parametrize("selector", ["", " , ", "a in (b)", "!a", "a!=b", "=b"])
def test_what_is_no_selector_is_refused(selector: str) -> None:
    """Above all what would select everything."""
    with pytest.raises(ValueError, match=r"is no label|selects everything"):
        parse_selector(selector)


@pytest.mark.parametrize(
    ("rule", "approves"),
    [
        ("shop/orders", True),
        ("shop/*", True),
        ("*/orders", True),
        ("sh?p/o*", True),
        ("shop", True),
        ("*", True),
        ("billing/*", False),
        ("sho/*", False),
        ("shop/order", False),
        ("s*s", False),
    ],
)
def test_rules(rule: str, approves: bool) -> None:
    """Part by part: no * reaches from one into the other."""
    found = approving_rule(ObjectName("shop", "orders"), ("never/matches", rule))
    assert found == (rule if approves else None)
