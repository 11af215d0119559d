"""What a source says of a URL that can't be used: the rule, and nothing of the URL."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from fengling_gateway.configsource.postgres_listener import Listener, ListenerEvents
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import SourceError
from tests.support.secrets import dsns, leaked


class SecretTests:
    @settings(deadline=None)
    @given(dsns)
    def test_reading_fails_without_repeating_the_url(self, dsn: str) -> None:
        """It becomes `last_error` in status, a log line and the answer to a reload."""
        reader = Reader(dsn, connect_timeout=1.0, statement_timeout=1.0)
        with pytest.raises(SourceError) as caught:
            reader.read_all()
        assert not leaked(f"{caught.value!r} {reader!r}")

    @settings(deadline=None, max_examples=50)
    @given(dsns)
    def test_listening_fails_without_repeating_the_url(self, dsn: str) -> None:
        """The reason is a note in status."""
        reasons: list[str] = []

        def lost(reason: str) -> None:
            reasons.append(reason)
            listener.stop()

        events = ListenerEvents(
            connected=lambda: None,
            position=lambda: None,
            expected=lambda _position: None,
            notified=lambda _payloads, _reading: None,
            not_ahead=lambda _reason: None,
            lost=lost,
        )
        listener = Listener(dsn, connect_timeout=1.0, events=events, jitter=lambda: 0.0)
        listener.run()
        assert reasons
        assert not leaked(f"{reasons} {listener!r}")
