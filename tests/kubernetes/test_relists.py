"""Lists that lack much, and what is told of them when."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.relists import WAIT_SECONDS, Relists
from fengling_gateway.kubernetes.resources import ENDPOINT_SLICES, REFERENCE_GRANTS, SERVICES
from fengling_gateway.kubernetes.watching import ClusterWatch, Watched
from tests.kubernetes.test_watching import Ear, Reflected

FOUR = ("a", "b", "c", "d")


class RelistsTests(SynchronousTestCase):
    """Of Services, of slices, and of grants, of which there are none."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.relists = Relists(self.clock)
        self.heard: list[tuple[str, list[str]]] = []
        self.services, self.slices, self.grants = (
            self.watched(one, listed)
            for one, listed in (
                (SERVICES, FOUR),
                (ENDPOINT_SLICES, FOUR),
                (REFERENCE_GRANTS, ()),
            )
        )
        self.heard.clear()

    def watched(self, resource: object, listed: tuple[str, ...]) -> Reflected:
        """Watch a resource, as a watch of its own; the reflectors of one resource are one."""
        ear = Ear()
        name = str(resource).partition(".")[0]
        told = ear.heard._replace(
            listed=lambda values: self.heard.append((name, list(values))),
            changed=lambda value: self.heard.append((name, [f"+{value}"])),
            gone=lambda value: self.heard.append((name, [f"-{value}"])),
        )
        made: list[Reflected] = []

        def reflect(_: Watched, namespace: str | None, user: object) -> Reflected:
            made.append(Reflected(namespace, user))
            return made[-1]

        ClusterWatch(
            [Watched(resource, str, str, told)],  # type: ignore[arg-type] # by its name only
            namespaces=(),
            reflect=reflect,
            relists=self.relists,
            synced=lambda: None,
        )
        made[0].list(*listed)
        return made[0]

    def test_what_lacks_little_is_told_at_once(self) -> None:
        """Half of it, say."""
        self.slices.list("a", "b")
        self.assertEqual(self.heard, [("endpointslices", ["a", "b"])])

    def test_what_lacks_much_is_told_with_the_others(self) -> None:
        """Services first, whichever was listed first; of what there is none, none is waited for."""
        self.slices.list()
        self.assertEqual(self.heard, [])
        self.services.list("d")
        self.assertEqual(self.heard, [("services", ["d"]), ("endpointslices", [])])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_names_are_not_the_same_objects(self) -> None:
        """It counts what is missing, not how much there is."""
        self.slices.list("e", "f", "g", "h")
        self.assertEqual(self.heard, [])

    def test_others_may_lack_nothing(self) -> None:
        """They are told at once, and what waits goes after them."""
        self.slices.list()
        self.services.list(*FOUR)
        self.assertEqual([name for name, _ in self.heard], ["services", "endpointslices"])

    def test_what_was_listed_before_is_not_listed_anew(self) -> None:
        """It may be of before the loss."""
        self.services.list(*FOUR)
        self.slices.list()
        self.assertEqual(len(self.heard), 1)

    def test_after_a_while_it_is_told_alone(self) -> None:
        """The others may not be watched for long."""
        self.slices.list("a")
        self.clock.advance(WAIT_SECONDS - 1)
        self.assertEqual(self.heard, [])
        self.clock.advance(1)
        self.assertEqual(self.heard, [("endpointslices", ["a"])])
        self.slices.list()
        self.clock.advance(WAIT_SECONDS)
        self.assertEqual(len(self.heard), 2)

    def test_what_happens_meanwhile_is_told_with_it(self) -> None:
        """And one by one from then on."""
        self.slices.list()
        self.slices.change("e")
        self.assertEqual(self.heard, [])
        self.services.list(*FOUR)
        self.slices.change("f")
        self.assertEqual(self.heard[1:], [("endpointslices", ["e"]), ("endpointslices", ["+f"])])

    def test_what_is_listed_once_more_still_waits(self) -> None:
        """Though by itself it would not."""
        self.slices.list()
        self.slices.list("a")
        self.assertEqual(self.heard, [])
        self.services.list(*FOUR)
        self.assertEqual(self.heard[-1], ("endpointslices", ["a"]))

    def test_what_is_all_back_is_told_at_once(self) -> None:
        """There is nothing to wait for."""
        self.slices.list()
        self.slices.list("a", "b", "c")
        self.assertEqual(self.heard, [("endpointslices", ["a", "b", "c"])])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.services.list("a")
        self.assertEqual(len(self.heard), 1, "its own loss waits for slices to be listed anew")
        self.relists.stop()

    def test_fault_of_one_who_is_told_keeps_nothing_from_others(self) -> None:
        """It is logged."""
        self.relists.add("odd", tell=lambda: 1 // 0, size=lambda: 1)
        self.slices.list()
        self.relists.listed("odd", ["a"], [])
        self.services.list(*FOUR)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([name for name, _ in self.heard], ["services", "endpointslices"])

    def test_stopped_tells_nothing(self) -> None:
        """And leaves no call behind."""
        self.slices.list()
        self.relists.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.heard), ([], []))


class SeveralNamespacesTests(SynchronousTestCase):
    """Each namespace is listed by itself, and a resource is told as one."""

    def test_list_of_one_namespace_waits_and_others_are_told(self) -> None:
        """What is told of it is what was told last, until all have been listed."""
        told: list[tuple[str, list[str]]] = []
        made: list[Reflected] = []

        def reflect(_: Watched, namespace: str | None, user: object) -> Reflected:
            made.append(Reflected(namespace, user))
            return made[-1]

        def ear(name: str) -> Ear:
            one = Ear()
            one.heard = one.heard._replace(
                listed=lambda values: told.append((name, sorted(values)))
            )
            return one

        ClusterWatch(
            [
                Watched(SERVICES, str, str, ear("services").heard),
                Watched(ENDPOINT_SLICES, str, str, ear("slices").heard),
            ],
            namespaces=("shop", "billing"),
            reflect=reflect,
            relists=Relists(Clock()),
            synced=lambda: None,
        )
        for number, one in enumerate(made):
            one.list(f"{number}")
        del told[:]
        services, others, slices, more = made
        slices.list()
        more.list("3", "4")
        others.list("1")
        self.assertEqual(told, [("slices", ["2", "3", "4"]), ("services", ["0", "1"])])
        services.list()
        self.assertEqual(told[2:], [("services", ["1"]), ("slices", ["3", "4"])])
