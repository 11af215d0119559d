"""A whole configuration, judged as a gateway would that starts without knowing anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fengling_gateway.configsource.reading import Held
from fengling_gateway.model.effective import EffectiveConfig, Rejection
from fengling_gateway.model.entity import Key


@dataclass(frozen=True, slots=True)
class Judged:
    """
    What became of a configuration: what counts, and what is rejected.

    Attributes:
        held: a revision that is not judged here, because nothing of it is served.
    """

    bodies: dict[Key, bytes]
    rejected: dict[Key, Rejection]
    held: Held | None = None


def judge(
    rows: Mapping[Key, dict[str, Any]],
    history: Any = lambda keys: {},  # noqa: ARG005
) -> Judged:
    """Judge a whole configuration as a gateway would; ``history`` looks up older versions."""
    return judge_rows(rows.items(), history)


def judge_rows(
    rows: Iterable[tuple[Key, dict[str, Any] | None]],
    history: Any,
    held: Held | None = None,
) -> Judged:
    """Like `judge`, for rows that are parsed when they are looked at."""
    config = EffectiveConfig()
    stage = config.stage(rows, full=True)
    while True:
        while stage.step():
            pass
        if not stage.wanted:
            break
        stage.supply(history(stage.wanted))
    stage.commit()
    return Judged(config.bodies, config.rejected, held)
