"""The file source on a real reactor, with a thread of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from fengling_gateway.configsource.file import FileSource
from fengling_gateway.configsource.reading import SourceError
from tests.support.wait import eventually

ROUTES = "routes: {a: {respond: {body: A}}}\n"


class FileSourceThreadTests(TestCase):
    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 - a real one is the point

        self.reactor: Any = reactor
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "routes.yaml"
        self.path.write_text(ROUTES)
        self.hints: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FileSource]:
        source = FileSource(
            reactor=self.reactor,
            path=self.path,
            on_hint=lambda reason, _: self.hints.append(reason),
        )
        source.start()
        try:
            yield source
        finally:
            await source.stop()

    def test_file_is_read_in_a_thread_and_watched(self) -> Deferred[None]:
        """A reading, a change, a hint, and what changed."""

        async def scenario() -> None:
            async with self.running() as source:
                first = await source.read(None)
                self.path.write_text(ROUTES.replace("A", "B"))
                await eventually(self.reactor, lambda: self.hints == ["changed"])
                second = await source.read(first.target)
                self.assertEqual([row.key.id for row in second.rows], ["a"])
                self.assertEqual(second.before, first.target)
                self.assertEqual(len((await source.read_all()).rows), 1)
                self.assertEqual(source.state.full_reads, 2)

        return self.run_scenario(scenario())

    def test_cancelled_reading_is_cancelled(self) -> Deferred[None]:
        """A caller that has waited too long is told so, and the next one is served."""

        async def scenario() -> None:
            async with self.running() as source:
                reading = source.read(None)
                reading.cancel()
                with self.assertRaises(CancelledError):
                    await reading
                self.assertEqual(len((await source.read(None)).rows), 1)

        return self.run_scenario(scenario())

    def test_surprise_is_a_source_error(self) -> Deferred[None]:
        """Whatever goes wrong in the thread, callers see one kind of failure."""

        async def scenario() -> None:
            async with self.running() as source:
                self.path.unlink()
                self.path.mkdir()
                with self.assertRaises(SourceError):
                    await source.read(None)
                self.assertFalse(source.state.connected)

        return self.run_scenario(scenario())

    def test_source_that_never_started_stops(self) -> Deferred[None]:
        """Stopping needs no beginning, and reading none either."""

        async def scenario() -> None:
            source = FileSource(reactor=self.reactor, path=self.path, on_hint=lambda *_: None)
            await source.stop()
            self.assertEqual(len((await source.read(None)).rows), 1)
            await source.stop()

        return self.run_scenario(scenario())

    def run_scenario(self, scenario: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(scenario)
