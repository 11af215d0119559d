"""Steps a stage to its end, without keeping the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from fengling_gateway.model.effective import Stage
from fengling_gateway.model.entity import Key

SLICE_SECONDS: Final = 0.008
"""How long judging may keep the reactor; the rest of the promised 10 ms is slack."""


async def judge(
    stage: Stage,
    *,
    history: Callable[[list[Key]], Deferred[dict[Key, list[dict[str, Any]]]]],
    clock: IReactorTime,
) -> None:
    """Bring a stage to where it can be committed; `history` looks up what is rejected."""
    while True:
        await _in_slices(stage.step, clock)
        wanted = stage.wanted
        if not wanted:
            return
        stage.supply(await history(wanted))


async def _in_slices(step: Callable[[], bool], clock: IReactorTime) -> None:
    until = clock.seconds() + SLICE_SECONDS
    while step():
        if clock.seconds() >= until:
            await _next_turn(clock)
            until = clock.seconds() + SLICE_SECONDS


def _next_turn(clock: IReactorTime) -> Deferred[None]:
    turn: Deferred[None] = Deferred(lambda _: timer.cancel())
    timer = clock.callLater(0, turn.callback, None)
    return turn
