"""What is kept of a configuration file's versions, and how it gets across a restart."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from fengling_gateway.configsource.checked_file import (
    DamagedFileError,
    read_blocks,
    write_new,
)
from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.configsource.reading import MAX_REVISIONS_READ, RevisionInfo
from fengling_gateway.model.entity import Key
from fengling_gateway.model.hold import Tally, tally_of

Rows = dict[Key, dict[str, Any]]

KEPT_LOG: Final = 100
_CHUNK: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Version:
    """One content of the file."""

    revision: int
    token: str
    rows: Rows
    content: bytes

    @property
    def tally(self) -> Tally:
        return tally_of(self.rows.items())


@dataclass(slots=True)
class Past:
    """
    What a file's versions come to.

    ``images`` has earlier images of entities, newest first, each with the
    revision since which the entity was like that. ``since`` has the revision
    since which it is as it is in the head; where there is none, forever.
    """

    epoch: str = field(default_factory=lambda: f"file:{uuid4()}")
    head: Version | None = None
    target: Version | None = None
    images: dict[Key, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    since: dict[Key, int] = field(default_factory=dict)
    log: deque[RevisionInfo] = field(default_factory=lambda: deque(maxlen=MAX_REVISIONS_READ))


def write_past(state: Path, source: Path, past: Past) -> None:
    """
    Write a past that has a head and a target.

    Raises:
        OSError: it could not be written; what was there before still is.
    """
    head, target = past.head, past.target
    assert head is not None
    assert target is not None
    rest = {
        "images": list(past.images.items()),
        "since": list(past.since.items()),
        "log": [asdict(one) for one in list(past.log)[-KEPT_LOG:]],
    }
    texts = (
        target.content,
        b"" if head is target else head.content,
        json.dumps(rest).encode(),
    )
    parts = [list(_chunks(text)) for text in texts]
    meta = {
        "path": str(source),
        "epoch": past.epoch,
        "target": [target.revision, target.token],
        "head": [head.revision, head.token],
        "parts": [len(one) for one in parts],
    }
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_new(state, [json.dumps(meta).encode(), *(part for one in parts for part in one)])


def read_past(state: Path, source: Path) -> Past | None:
    """
    Return what was written; None where nothing was, or of another file.

    Raises:
        DamagedFileError: it can't be used.
    """
    try:
        return _past(list(read_blocks(state)), source)
    except FileNotFoundError:
        return None
    except DamagedFileError:
        raise
    except Exception as error:  # whatever is wrong with it, we can do without
        raise DamagedFileError(f"can't be understood: {error!r}") from error


def _past(blocks: list[bytes], source: Path) -> Past | None:
    meta = json.loads(blocks[0])
    if meta["path"] != str(source):
        return None
    parts = iter(blocks[1:])
    texts = [b"".join(next(parts) for _ in range(count)) for count in meta["parts"]]
    target = _version(meta["target"], texts[0])
    is_held = meta["head"] != meta["target"]
    rest = json.loads(texts[2])
    return Past(
        epoch=meta["epoch"],
        head=_version(meta["head"], texts[1]) if is_held else target,
        target=target,
        images={
            Key(*key): [(since, image) for since, image in images] for key, images in rest["images"]
        },
        since={Key(*key): since for key, since in rest["since"]},
        log=deque((RevisionInfo(**one) for one in rest["log"]), maxlen=MAX_REVISIONS_READ),
    )


def _version(named: list[Any], content: bytes) -> Version:
    revision, token = named
    return Version(revision, token, parse_entities(content).rows, content)


def _chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
