"""What a pin does to what is served; with real processes it is in tests/integration/test_pins.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.pin_file import Pin, PinFile
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import EffectiveConfig, hash_of
from fengling_gateway.model.entity import Key
from fengling_gateway.supervisor.pinning import NoPins, Pinning

ROUTE, OTHER = Key("route", "r"), Key("route", "o")
INSTANCE, HEALTH = Key("instance", "i"), Key("instance_health", "i")
STRANGER = Key("instance_health", "unknown-there")


def at(revision: int) -> Position:
    return Position("e", revision, f"t{revision}")


class Newest:
    """A reload loop, as far as it matters here."""

    def __init__(self, revision: int, bodies: dict[Key, bytes]) -> None:
        self.config = EffectiveConfig()
        self.position: Position | None = at(revision)
        self.config.restore(dict(bodies))

    def become(self, revision: int, bodies: dict[Key, bytes]) -> Delta:
        before, hash_before = self.position, self.config.content_hash
        changes = [Change(key, body) for key, body in bodies.items()]
        self.config = EffectiveConfig()
        self.config.restore(dict(bodies))
        self.position = at(revision)
        return Delta(before, self.position, hash_before, self.config.content_hash, changes)


class PinningTests(SynchronousTestCase):
    """`Pinning`"""

    def setUp(self) -> None:
        self.newest = Newest(3, {ROUTE: b"3", INSTANCE: b"i"})
        self.directory = Path(self.mktemp())
        self.begin(PinFile(self.directory))

    def begin(self, file: Any) -> None:
        self.published: list[Delta] = []
        self.changes = 0
        self.pinning = Pinning(
            newest=self.newest,
            file=file,
            in_thread=maybeDeferred,
            publish=self.published.append,
            changed=self.changed,
        )

    def changed(self) -> None:
        self.changes += 1

    def pin(self, revision: int, bodies: dict[Key, bytes]) -> None:
        pin = Pin(at(revision), "ada", 1.0, "why", hash_of(bodies), bodies)
        self.assertIsNone(self.successResultOf(self.pinning.hold(pin)))

    def served(self) -> dict[Key, bytes]:
        return dict(self.pinning.config.bodies)

    def test_without_a_pin_the_newest_is_served(self) -> None:
        self.assertFalse(self.pinning.load())
        self.assertIs(self.pinning.config, self.newest.config)
        self.assertEqual(self.pinning.position, at(3))
        self.assertIsNone(self.pinning.values())

    def test_what_is_served_is_pinned_without_a_delta(self) -> None:
        """Nothing changes for workers."""
        self.pin(3, self.served())
        self.assertEqual((self.published, self.changes), ([], 1))
        self.newest.become(5, {ROUTE: b"5"})
        self.assertEqual(self.served(), {ROUTE: b"3", INSTANCE: b"i"})
        self.assertEqual(self.pinning.position, at(3))
        self.assertEqual(self.pinning.describe(), "pinned at 3, 2 revisions behind")

    def test_older_content_is_one_delta_there_and_one_back(self) -> None:
        """Each of what differs, with the hashes of both."""
        old = {OTHER: b"2", INSTANCE: b"i"}
        self.pin(2, old)
        self.successResultOf(self.pinning.release("ada"))
        there, back = self.published
        self.assertEqual((there.before, there.after), (at(3), at(2)))
        self.assertEqual(set(there.changes), {Change(ROUTE, None), Change(OTHER, b"2")})
        self.assertEqual((back.before, back.after), (at(2), at(3)))
        self.assertEqual(set(back.changes), {Change(ROUTE, b"3"), Change(OTHER, None)})
        self.assertEqual(there.hash_after, hash_of(old))
        self.assertEqual((back.hash_before, back.hash_after), (there.hash_after, there.hash_before))

    def test_health_is_followed_where_its_instance_is(self) -> None:
        """Position and everything else stay."""
        self.pin(3, self.served())
        bodies = {ROUTE: b"9", INSTANCE: b"i", HEALTH: b"ill", STRANGER: b"ill"}
        self.pinning.newest_read(self.newest.become(9, bodies))
        [delta] = self.published
        self.assertEqual((delta.before, delta.after), (at(3), at(3)))
        self.assertEqual(list(delta.changes), [Change(HEALTH, b"ill")])
        self.assertEqual(delta.hash_after, hash_of(self.served()))
        self.assertEqual(self.served()[ROUTE], b"3")

    def test_health_of_now_goes_with_an_older_revision(self) -> None:
        self.newest.become(4, {INSTANCE: b"i", HEALTH: b"well"})
        self.pin(2, {INSTANCE: b"i", HEALTH: b"ill"})
        self.assertEqual(self.served(), {INSTANCE: b"i", HEALTH: b"well"})
        self.assertEqual(self.pinning.config.content_hash, hash_of(self.served()))

    def test_pin_is_taken_up_by_the_next_process(self) -> None:
        """And gone for the one after an unpin."""
        self.pin(2, {OTHER: b"2"})
        self.begin(PinFile(self.directory))
        self.assertTrue(self.pinning.load())
        self.assertEqual((self.served(), self.pinning.position), ({OTHER: b"2"}, at(2)))
        self.assertEqual(self.pinning.values()["by"], "ada")  # type: ignore[index]
        self.successResultOf(self.pinning.release("ada"))
        self.begin(PinFile(self.directory))
        self.assertFalse(self.pinning.load())

    def test_damaged_file_pins_nothing_and_is_told(self) -> None:
        """At whichever byte."""
        self.pin(2, {OTHER: b"2"})
        [path] = self.directory.iterdir()
        content = path.read_bytes()
        for place in range(0, len(content), 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            self.begin(PinFile(self.directory))
            self.assertFalse(self.pinning.load(), place)
            self.assertIn("nothing is pinned", self.pinning.problem or "")

    def test_pin_that_can_not_be_written_holds_and_is_told(self) -> None:
        """Until the process ends."""
        self.begin(NoPins())
        self.pin(2, {OTHER: b"2"})
        self.assertEqual(self.served(), {OTHER: b"2"})
        self.assertIn("ends with this process", self.pinning.problem or "")

    def test_unpinning_needs_something_else_to_serve(self) -> None:
        self.pin(2, {OTHER: b"2"})
        self.newest.position = None
        self.assertRaises(ValueError, self.pinning.release, "ada")
        self.assertEqual(self.served(), {OTHER: b"2"})

    def test_another_epoch_is_no_number_behind(self) -> None:
        self.pin(3, self.served())
        self.newest.position = Position("other", 9, "t")
        self.assertIsNone(self.pinning.behind())
        self.assertEqual(self.pinning.describe(), "pinned at 3")
