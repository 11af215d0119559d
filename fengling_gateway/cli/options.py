"""Options that several commands share, and that reach them as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def collect(
    command: Callable[..., Any],
    options: tuple[Callable[[Any], Any], ...],
    name: str,
    make: Callable[..., Any],
) -> Any:
    """
    Give a command options; what ``make`` makes of their values becomes its parameter ``name``.

    The parameters of ``make`` say which options it takes.
    """
    own = set(inspect.signature(make).parameters)

    @functools.wraps(command)
    def with_value(*args: Any, **values: Any) -> Any:
        chosen = {key: values.pop(key) for key in own}
        return command(*args, **values, **{name: make(**chosen)})

    for option in reversed(options):
        with_value = option(with_value)
    return with_value
