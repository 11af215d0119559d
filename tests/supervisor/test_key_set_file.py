"""What issuers have published survives a restart, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.configsource.checked_file import write_new
from fengling_gateway.supervisor import key_set_file
from fengling_gateway.supervisor.key_set_file import KeySetFile
from fengling_gateway.supervisor.published_keys import Kept
from tests.support.forge import rsa_jwk

SETS = {
    ("a", "jwks https://a.example/k"): Kept({"keys": [rsa_jwk()]}, 1000.5),
    ("b", "discovery https://b.example"): Kept({"keys": []}, 7.0),
}


class KeySetFileTests(SynchronousTestCase):
    """`KeySetFile`"""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name) / "state"
        self.path = self.directory / "key-sets"
        self.file = self.opened()

    def opened(self) -> KeySetFile:
        return KeySetFile(self.directory, maybeDeferred)

    def test_what_is_saved_is_loaded(self) -> None:
        """By issuer and place; readable by nobody else."""
        self.file.save(SETS)
        self.assertEqual(self.opened().load(), SETS)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.directory), ["key-sets"])

    def test_without_a_file_there_is_nothing(self) -> None:
        self.assertEqual(self.file.load(), {})

    def test_damaged_file_is_told_and_costs_nothing_else(self) -> None:
        """Whatever is in it; what is whole before a torn end counts."""
        self.file.save(SETS)
        whole = self.path.read_bytes()
        for content in (b"", b"{}", whole[:-3], whole[:20], whole + b"\xff" * 100):
            self.path.write_bytes(content)
            self.assertLessEqual(self.opened().load().items(), SETS.items())
        self.path.write_bytes(whole[:-3])
        self.assertEqual(len(self.opened().load()), 1)

    def test_file_of_other_things_is_not_believed(self) -> None:
        """Of another form, a later version's perhaps."""
        self.file.save({})
        record = b'{"issuer": "a", "source": "s", "document": {}, "fetched_at": %s}'
        odd = (b"[]", b"{}", b"no JSON", b'{"issuer": "a", "source": "s"}', b"7", b"[" * 100_000)
        for payload in (*odd, *(record % at for at in (b"NaN", b"1e999", b"-1", b"null"))):
            write_new(self.path, [payload])
            self.assertEqual(self.opened().load(), {}, payload[:80])

    def test_writing_follows_no_link(self) -> None:
        """What is left from a crash, or was put there, is not written to, and not kept open."""
        other = self.directory.with_name("other")
        other.write_text("theirs")
        self.directory.mkdir()
        self.path.with_name("key-sets.tmp").symlink_to(other)
        self.file.save(SETS)
        self.assertEqual((other.read_text(), self.opened().load()), ("theirs", SETS))
        left = self.path.with_name("key-sets.tmp")
        left.touch(0o644)
        self.file.save(SETS)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_file_has_a_bound(self) -> None:
        """In both directions."""
        self.patch(key_set_file, "MAX_BYTES", 2048)
        many = {(f"i{n}", "jwks https://a.example/k"): Kept({"keys": []}, 1.0) for n in range(100)}
        self.file.save(many)
        self.assertLess(self.path.stat().st_size, 2048)
        self.assertGreater(len(self.opened().load()), 5)
        self.patch(key_set_file, "MAX_BYTES", 500)
        self.assertEqual(self.opened().load(), {})

    def test_file_that_can_not_be_written_is_told_once_and_counted(self) -> None:
        """And written as soon as it can be."""
        self.directory.write_bytes(b"a file where a directory should be")
        self.file.save(SETS)
        self.file.save(SETS)
        self.assertEqual((self.file.failures, self.file.is_failing), (2, True))
        self.directory.unlink()
        self.file.save(SETS)
        self.assertEqual((self.file.failures, self.file.is_failing), (2, False))
        self.assertEqual(self.opened().load(), SETS)

    def test_one_write_at_a_time_and_the_newest_counts(self) -> None:
        """Stopping waits for it."""
        started: list[tuple[Deferred[Any], Any]] = []

        def in_thread(function: Any, *args: Any) -> Deferred[Any]:
            started.append((Deferred(), lambda: function(*args)))
            return started[-1][0]

        file = KeySetFile(self.directory, in_thread)
        file.save({})
        file.save({})
        file.save(SETS)
        stopped = file.stop()
        self.assertEqual(len(started), 1)
        self.assertNoResult(stopped)
        for done, write in started:
            write()
            done.callback(None)
        self.assertEqual(len(started), 2)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.opened().load(), SETS)
