"""What is yet to be written of what the cluster wants, and what of that is kept for now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.wants import Want, Wants
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.model.entity import Key

SERVICE = Key("service", "a")
POD = Key("instance", "a_1")
ROUTE = Key("route", "a")
OTHER_POD = Key("instance", "b_1")
ALL = (SERVICE, POD, ROUTE)


def row(key: Key) -> dict[str, str]:
    """Return what is wanted of an entity: instances and routes are of the service of their letter."""
    return {} if key.kind == "service" else {"service_id": key.id[0]}


class WantsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wants = Wants(lambda: None)
        for key in (*ALL, Key("service", "b"), OTHER_POD, Key("route", "b")):
            self.wants.put(key, row(key), f"shop/{key.id[0]}")
        self.take()

    def take(self, most: int = 1000) -> dict[Key, Want]:
        return self.wants.take(most)

    def go(self, *keys: Key) -> None:
        for key in keys:
            self.wants.put(key, None, f"shop/{key.id[0]}")

    def withhold(self) -> None:
        """All of one service goes, and its route is kept."""
        self.go(*ALL)
        self.wants.give_back(self.take())
        self.wants.withhold(["a"], ["a"])

    def test_route_is_kept_with_what_it_needs(self) -> None:
        """Its service and its instances: else it would lead nowhere."""
        self.withhold()
        self.assertEqual(self.take(), {})
        self.assertTrue(all(key in self.wants.withheld for key in ALL))
        self.assertTrue(self.wants.is_going("a"))

    def test_what_is_no_more_later_is_kept_too(self) -> None:
        """In whatever order it comes."""
        self.go(ROUTE)
        self.wants.give_back(self.take())
        self.wants.withhold(["a"], ["a"])
        self.go(SERVICE, POD)
        self.assertEqual(self.take(), {})

    def test_others_go(self) -> None:
        """And whatever comes is written."""
        self.withhold()
        self.go(OTHER_POD)
        self.wants.put(Key("instance", "b_2"), {"service_id": "b"}, "shop/b")
        self.assertEqual(
            {key: want.row is None for key, want in self.take().items()},
            {OTHER_POD: True, Key("instance", "b_2"): False},
        )

    def test_pods_of_a_service_that_stays_go(self) -> None:
        """Only one of its routes is kept: its endpoints are the cluster's matter on."""
        self.go(ROUTE)
        self.wants.give_back(self.take())
        self.wants.withhold(["a"], ["a"])
        self.go(POD)
        self.assertEqual(list(self.take()), [POD])

    def test_service_that_is_back_keeps_its_pods_until_it_has_some(self) -> None:
        """Its slices come after it: until then what was kept is better than nothing."""
        self.withhold()
        self.take()
        self.wants.put(SERVICE, row(SERVICE), "shop/a")
        self.assertEqual(list(self.take()), [SERVICE])
        new = Key("instance", "a_2")
        self.wants.put(new, {"service_id": "a"}, "shop/a")
        self.assertEqual(
            {key: want.row is None for key, want in self.take().items()}, {new: False, POD: True}
        )
        self.assertTrue(self.wants.is_going("a"))

    def test_route_that_is_back_is_kept_no_more(self) -> None:
        """Nor is a confirmation of before remembered, when it goes again."""
        self.withhold()
        self.wants.confirm(["a"])
        self.wants.put(ROUTE, row(ROUTE), "shop/a")
        self.assertFalse(self.wants.is_going("a"))
        self.go(ROUTE)
        batch = self.take()
        self.assertIn(ROUTE, batch)
        self.assertEqual(self.wants.going(batch), Going())

    def test_routes_are_looked_at_again_and_what_they_need_goes_after_them(self) -> None:
        """With what it stands for."""
        self.withhold()
        self.take()
        self.wants.ask_again()
        batch = self.take()
        self.assertEqual(list(batch), [ROUTE])
        self.wants.written(batch)
        rest = self.take()
        self.assertEqual(list(rest), [POD, SERVICE])
        self.assertEqual({want.origin for want in (batch | rest).values()}, {"shop/a"})

    def test_what_no_route_needs_any_more_is_kept_no_longer(self) -> None:
        """One of two that are kept has been let go."""
        self.go(*ALL, Key("service", "b"), OTHER_POD, Key("route", "b"))
        self.wants.give_back(self.take())
        self.wants.withhold(["a", "b"], ["a", "b"])
        self.assertEqual(self.take(), {})
        self.wants.confirm(["a"])
        self.wants.give_back(self.take())
        self.wants.withhold(["b"], ["b"])
        self.assertEqual(list(self.take()), [ROUTE, POD, SERVICE])

    def test_confirmation_is_of_one_removal(self) -> None:
        """What somebody has brought back since, by going back, needs another one."""
        self.withhold()
        self.wants.confirm(["a"])
        self.wants.written(self.take())
        self.wants.look_at(ROUTE, "shop/a")
        self.assertEqual(self.wants.going(self.take()), Going())

    def test_what_is_confirmed_is_said_so(self) -> None:
        self.withhold()
        self.wants.confirm(["a"])
        self.assertEqual(self.wants.going(self.take()), Going(confirmed=frozenset("a")))

    def test_confirmed_while_it_was_asked_is_not_kept(self) -> None:
        """The answer is of before."""
        self.withhold()
        self.wants.ask_again()
        batch = self.take()
        self.wants.confirm(["a"])
        self.wants.give_back(batch)
        self.wants.withhold(["a"], ["a"])
        self.assertIn(ROUTE, self.take())

    def test_what_somebody_touches_while_it_is_written_is_still_known(self) -> None:
        """What it stands for, and whose it was."""
        self.go(POD)
        batch = self.take()
        self.wants.look_at(POD)
        self.wants.give_back(batch)
        self.assertEqual(self.take()[POD], Want(None, "shop/a", row(POD)))

    def test_what_somebody_rejects_is_confirmed(self) -> None:
        """Until it is to be routed to again."""
        self.withhold()
        self.wants.withdraw("shop/a")
        batch = self.take()
        self.assertEqual(self.wants.going(batch).confirmed, {"a"})
        self.wants.admit("shop/a")
        self.assertEqual(self.wants.going(batch).confirmed, frozenset())

    def test_what_goes_later_counts(self) -> None:
        """A batch has only a part of what goes."""
        self.go(ROUTE, Key("route", "b"))
        self.assertEqual(self.wants.going(self.take(1)), Going(later=frozenset("b")))

    def test_what_is_kept_counts(self) -> None:
        """Else a cluster that loses all of it in two steps has lost half of it twice."""
        self.withhold()
        self.go(Key("route", "b"))
        self.assertEqual(self.wants.going(self.take()), Going(later=frozenset("a")))

    def test_nothing_known_of_an_instance_keeps_it(self) -> None:
        """While something is kept: there may be more to lose."""
        unknown = Key("instance", "x")
        self.withhold()
        self.wants.look_at(unknown)
        self.assertEqual(self.take(), {})
        self.wants.confirm(["a"])
        self.wants.written(self.take())
        self.assertIn(unknown, self.take())


KEYS = [
    Key(kind, name)
    for kind, names in {"service": "ab", "route": "ab", "instance": ("a_1", "a_2", "b_1")}.items()
    for name in names
]
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS)),
        st.tuples(st.just("go"), st.sampled_from(KEYS)),
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("withhold"), st.sampled_from("ab")),
        st.tuples(st.just("confirm"), st.sampled_from("ab")),
        st.tuples(st.just("ask again"), st.none()),
    ),
    max_size=30,
)


@given(ACTS)
def test_whatever_is_kept_all_is_written_in_the_end(acts: list[tuple[str, object]]) -> None:
    """What is kept is never lost, and what is written is what is wanted."""
    wants, there = Wants(lambda: None), {}

    def write(most: int) -> None:
        batch = wants.take(most)
        for key, want in batch.items():
            if want.row is None:
                there.pop(key, None)
            else:
                there[key] = want.row
        wants.written(batch)

    for act, about in acts:
        if act == "put":
            wants.put(about, row(about), "x")
        elif act == "go":
            wants.put(about, None, "x")
        elif act == "write":
            write(about)
        elif act == "withhold":
            wants.withhold([about], [about])
        elif act == "confirm":
            wants.confirm([about])
        else:
            wants.ask_again()
    while wants.withheld or len(wants):
        wants.ask_again()
        write(1000)
    assert there == {key: want.row for key, want in wants.rows.items()}
