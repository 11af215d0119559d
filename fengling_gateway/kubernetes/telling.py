"""Telling whoever wants to know what has become of a resource; what fails there, ends there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.logger import Logger

from fengling_gateway.kubernetes.known import Change, Known

_log = Logger()

T = TypeVar("T")


class ReflectorUser(Protocol[T]):
    """Whom a reflector tells, on the reactor's thread."""

    def listed(self, reflector: Any, objects: list[T]) -> None:
        """Note that this is all there is now: what was known and is missing, is gone."""

    def changed(self, reflector: Any, value: T) -> None:
        """Note that there is a new one, or another one of the same name."""

    def gone(self, reflector: Any, value: T) -> None:
        """Note that there is none of this name any more; this is its last state."""

    def absent(self, reflector: Any) -> None:
        """Note that the cluster does not know the resource; told at each try."""


class Telling(Generic[T]):
    """
    What is known of a resource, and whom that concerns.

    Args:
        reflector: who tells.
        convert: makes a value of an object.
    """

    def __init__(
        self,
        reflector: Any,
        user: ReflectorUser[T],
        convert: Callable[[dict[str, Any]], T | None],
    ) -> None:
        self._reflector = reflector
        self._user = user
        self._convert = convert
        self._is_over = False
        self.known: Known[T] = Known(self._converted)

    def end(self) -> None:
        """Tell nothing any more."""
        self._is_over = True

    def tell_all(self) -> None:
        self._tell(lambda: self._user.listed(self._reflector, self.known.values))

    def tell_absent(self) -> None:
        self._tell(lambda: self._user.absent(self._reflector))

    def put(self, obj: dict[str, Any]) -> None:
        """Take an object that was added or modified."""
        self._tell_change(self.known.put(obj))

    def drop(self, obj: dict[str, Any]) -> None:
        """Take an object that is gone, in its last state."""
        self._tell_change(self.known.drop(obj))

    def _tell_change(self, change: Change[T] | None) -> None:
        if change is None:
            return
        told = self._user.changed if change.kind == "changed" else self._user.gone
        self._tell(lambda: told(self._reflector, change.value))

    def _tell(self, call: Callable[[], None]) -> None:
        if self._is_over:
            return
        try:
            call()
        except Exception:
            _log.failure(
                "{resource}: what became of them was told in vain",
                resource=str(self._reflector),
                log_id="kubernetes.told_in_vain",
            )

    def _converted(self, obj: dict[str, Any]) -> T | None:
        try:
            return self._convert(obj)
        except ValueError:
            raise
        except Exception:
            _log.failure(
                "{resource}: one can't be read",
                resource=str(self._reflector),
                log_id="kubernetes.object_fault",
            )
            raise ValueError("it can't be read, by a fault of this program") from None
