"""The configuration in a database, as a gateway reads it that starts without knowing anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fengling_gateway.cli.errors import CommandError
from fengling_gateway.configsource.postgres_reader import Reader
from fengling_gateway.configsource.reading import SourceError
from fengling_gateway.editing.judging import Judged, judge_rows

CONNECT_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.5


def judge_database(dsn: str) -> Judged:
    """
    Judge what is to be served now: by the gateway's own reading, and its own look at history.

    Raises:
        CommandError: the database can't be read.
    """
    with _reader(dsn) as reader:
        reading = reader.read_all()
        return judge_rows(
            reading.rows,
            history=lambda keys: reader.history(keys, reading.target.revision),
            held=reading.held,
        )


@contextmanager
def _reader(dsn: str) -> Iterator[Reader]:
    reader = Reader(dsn, connect_timeout=CONNECT_SECONDS, statement_timeout=STATEMENT_SECONDS)
    ended = threading.Event()

    def watch() -> None:  # a frozen server keeps no deadline by itself
        while not ended.wait(_WATCH_SECONDS):
            reader.abort_overdue()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield reader
    except SourceError as error:
        raise CommandError(f"the database can't be read: {error}") from error
    finally:
        ended.set()
        reader.close()
