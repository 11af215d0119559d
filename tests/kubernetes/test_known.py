"""What is known of a resource."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.known import Change, Known, Listing

Object = dict[str, Any]


def obj(name: str, value: str) -> Object:
    return {"metadata": {"name": name}, "value": value}


def convert(one: Object) -> tuple[str, str] | None:
    """Values are of no interest, or can't be read, where they say so."""
    if one["value"] == "unreadable":
        raise ValueError("unreadable")
    return None if one["value"] == "dull" else (one["metadata"]["name"], one["value"])


OBJECTS = st.builds(obj, st.sampled_from("abc"), st.sampled_from(("1", "2", "dull", "unreadable")))
STEPS = st.one_of(
    st.tuples(st.just("put"), OBJECTS),
    st.tuples(st.just("drop"), OBJECTS),
    st.tuples(st.just("list"), st.lists(OBJECTS, unique_by=lambda one: one["metadata"]["name"])),
)


class Model:
    """The same, by what is said of one name after the other."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def take(self, step: str, what: Any) -> Any:
        if step == "list":
            new = {one["metadata"]["name"]: self.after(one) for one in what}
            self.values = {name: value for name, value in new.items() if value is not None}
            return None
        name = what["metadata"]["name"]
        before = self.values.pop(name, None)
        readable = what["value"] not in ("dull", "unreadable")
        if step == "drop":
            last = what["value"] if readable else before
            return None if before is None else Change("gone", (name, last))
        after = before if what["value"] == "unreadable" else what["value"]
        if after == "dull":
            return None if before is None else Change("gone", (name, before))
        if after is not None:
            self.values[name] = after
        return None if after == before else Change("changed", (name, after))

    def after(self, one: Object) -> str | None:
        if one["value"] == "unreadable":
            return self.values.get(one["metadata"]["name"])
        return None if one["value"] == "dull" else one["value"]


class KnownTests(SynchronousTestCase):
    """`Known`"""

    @given(st.lists(STEPS, max_size=20))
    def test_values_and_changes_are_those_of_a_model(self, steps: list[tuple[str, Any]]) -> None:
        """Whatever comes in whatever order."""
        known: Known[tuple[str, str]] = Known(convert)
        model = Model()
        for step, what in steps:
            expected = model.take(step, what)
            if step == "list":
                listing: Listing[tuple[str, str]] = Listing()
                for one in what:
                    known.list_object(listing, one)
                known.replace(listing)
            else:
                self.assertEqual(getattr(known, step)(what), expected)
            self.assertEqual(dict(known.values), model.values)

    def test_list_that_is_never_whole_changes_nothing(self) -> None:
        """It is a list only at its end."""
        known: Known[tuple[str, str]] = Known(convert)
        known.put(obj("a", "1"))
        known.list_object(Listing(), obj("b", "1"))
        self.assertEqual(known.values, [("a", "1")])
