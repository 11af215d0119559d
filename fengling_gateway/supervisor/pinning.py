"""
What this node serves in place of the newest configuration, while somebody has pinned it.

The reload loop goes on as ever beneath; see docs/decisions/a-pin-is-beside-what-is-read.md.
What is known of the health of instances is followed all the same: it is no configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from fengling_gateway.configsource.checked_file import DamagedFileError
from fengling_gateway.configsource.pin_file import Pin
from fengling_gateway.model.delta import Change, Delta, Position
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import Key, add_hash, entity_hash, subtract_hash

_log = Logger()

_HEALTH = "instance_health"
Bodies = Mapping[Key, bytes]


class Pins(Protocol):
    """Where a pin is kept; blocks."""

    def load(self) -> Pin | None: ...

    def write(self, pin: Pin) -> None: ...

    def remove(self) -> None: ...


class NoPins:
    """For who keeps none."""

    def load(self) -> Pin | None:
        return None

    def write(self, pin: Pin) -> None:
        raise OSError("pins are not kept here")

    def remove(self) -> None:
        """There is nothing."""


class Newest(Protocol):
    """What the source says."""

    config: EffectiveConfig
    position: Position | None


class Pinning:
    """
    Args:
        newest: the reload loop.
        publish: serves a delta from what was served to what is to be.
        changed: told that the pin is another one, or gone.

    Attributes:
        problem: why a pin does not outlive this process, or a kept one does not count.
    """

    def __init__(
        self,
        *,
        newest: Newest,
        file: Pins,
        in_thread: Callable[..., Deferred[Any]],
        publish: Callable[[Delta], None],
        changed: Callable[[], None],
    ) -> None:
        self._newest = newest
        self._file = file
        self._in_thread = in_thread
        self._publish = publish
        self._changed = changed
        self._config = EffectiveConfig()
        self._saving = DeferredLock()
        self.pin: Pin | None = None
        self.problem: str | None = None

    def __repr__(self) -> str:
        at = "nowhere" if self.pin is None else f"at {self.pin.position.revision}"
        return f"<Pinning {at}>"

    @property
    def config(self) -> EffectiveConfig:
        """What is served."""
        return self._newest.config if self.pin is None else self._config

    @property
    def position(self) -> Position | None:
        """Where that is in the history of the source."""
        return self._newest.position if self.pin is None else self.pin.position

    def load(self) -> bool:
        """Take up the pin that is kept, if any; whether there is one. Blocks; before anything is served."""
        try:
            self.pin = self._file.load()
        except DamagedFileError as error:
            self._fails(f"{error}; nothing is pinned")
        if self.pin is None:
            return False
        self._config.restore(dict(self.pin.bodies), self.pin.content_hash)
        _log.warn("{what}", what=f"this node is {self.describe()}", log_id="config.pinned")
        return True

    def describe(self) -> str:
        """Say it in words; only while pinned."""
        assert self.pin is not None, "or there is nothing to say"
        text = f"pinned at {self.pin.position.revision}"
        behind = self.behind()
        if behind:
            text += f", {behind} revision{'' if behind == 1 else 's'} behind"
        return text

    def behind(self) -> int | None:
        """Return how many revisions newer what is known is; None where that is not to be said."""
        newest = self._newest.position
        if self.pin is None or newest is None or newest.epoch != self.pin.position.epoch:
            return None
        return newest.revision - self.pin.position.revision

    def values(self) -> dict[str, Any] | None:
        """Return it for status, and other nodes; None without a pin."""
        if self.pin is None:
            return None
        newest = self._newest.position
        return {
            "revision": self.pin.position.revision,
            "epoch": self.pin.position.epoch,
            "by": self.pin.by,
            "at": self.pin.at,
            "comment": self.pin.comment,
            "newest": None if newest is None else newest.revision,
            "behind": self.behind(),
            "message": self.describe(),
        }

    def hold(self, pin: Pin) -> Deferred[None]:
        """
        Serve this from now on; fires when it is kept, or can't be (`problem` says why).
        """
        before, served = self.position, self.config
        hash_before, bodies_before = served.content_hash, served.bodies
        bodies = dict(pin.bodies)
        if self._newest.position is not None:
            _follow_health(bodies, self._newest.config.bodies)
        content_hash = rehashed(pin.content_hash, pin.bodies, _difference(pin.bodies, bodies))
        self.pin = replace(pin, bodies=bodies, content_hash=content_hash)
        config = EffectiveConfig()
        config.restore(dict(bodies), self.pin.content_hash)
        self._config = config
        self._shift(before, hash_before, bodies_before)
        _log.warn(
            "{what}, as {by} asks: {comment}",
            what=f"this node is {self.describe()}",
            by=pin.by,
            comment=pin.comment or "(without a comment)",
            log_id="config.pinned",
        )
        self._changed()
        return self._save()

    def release(self, by: str) -> Deferred[None]:
        """
        Serve what is newest.

        Raises:
            ValueError: nothing else is known.
        """
        if self.pin is None:
            return self._save()
        if self._newest.position is None:
            raise ValueError("nothing but what is pinned is known here")
        before, config = self.pin.position, self._config
        self.pin = None
        self._shift(before, config.content_hash, config.bodies)
        _log.info("this node is no longer pinned, as {by} asks", by=by, log_id="config.unpinned")
        self._changed()
        return self._save()

    def newest_read(self, delta: Delta) -> None:
        """While pinned: take over what has become known of the health of instances."""
        served = self._config.bodies
        newest: Bodies = self._newest.config.bodies
        changed: Iterable[Key] = (
            {key for bodies in (served, newest) for key in bodies if key.kind == _HEALTH}
            if delta.is_full
            else [one.key for one in delta.changes if one.key.kind == _HEALTH]
        )
        changes = [
            Change(key, newest.get(key))
            for key in changed
            if Key("instance", key.id) in served and served.get(key) != newest.get(key)
        ]
        if changes:
            hash_before, bodies_before = self._config.content_hash, served
            self._config = EffectiveConfig()
            content_hash = rehashed(hash_before, served, changes)
            self._config.restore(_applied(served, changes), content_hash)
            self._shift(self.position, hash_before, bodies_before)

    def _shift(self, before: Position | None, hash_before: int, bodies: Bodies) -> None:
        after, config = self.position, self.config
        assert after is not None, "there is something to serve"
        if before == after and hash_before == config.content_hash:
            return
        self._publish(
            Delta(
                before=before,
                after=after,
                hash_before=hash_before,
                hash_after=config.content_hash,
                changes=list(_difference(bodies, config.bodies)),
            )
        )

    def _save(self) -> Deferred[None]:
        """Keep how it is when the turn comes: of several the last one counts."""
        saved = self._saving.run(self._write)
        return saved.addCallbacks(lambda _: self._saved(), self._failed)

    def _write(self) -> Deferred[Any]:
        pin = self.pin
        if pin is None:
            return self._in_thread(self._file.remove)
        return self._in_thread(self._file.write, pin)

    def _saved(self) -> None:
        self.problem = None

    def _failed(self, failure: Any) -> None:
        self._fails(f"it ends with this process: {failure.getErrorMessage()}")

    def _fails(self, problem: str) -> None:
        self.problem = problem
        _log.error("the pin: {problem}", problem=problem, log_id="config.pin_failed")


def _difference(before: Bodies, after: Bodies) -> Iterable[Change]:
    for key, body in after.items():
        if before.get(key) != body:
            yield Change(key, body)
    for key in before:
        if key not in after:
            yield Change(key, None)


def rehashed(content_hash: int, bodies: Bodies, changes: Iterable[Change]) -> int:
    """Return the content hash that bodies have after some changes."""
    for key, body in changes:
        before = bodies.get(key)
        if before is not None:
            content_hash = subtract_hash(content_hash, entity_hash(key, before))
        if body is not None:
            content_hash = add_hash(content_hash, entity_hash(key, body))
    return content_hash


def _applied(bodies: Bodies, changes: Iterable[Change]) -> dict[Key, bytes]:
    result = dict(bodies)
    for key, body in changes:
        if body is None:
            result.pop(key, None)
        else:
            result[key] = body
    return result


def _follow_health(bodies: dict[Key, bytes], newest: Bodies) -> None:
    """Have these bodies say of the health of their instances what the newest do."""
    for key in [key for key in bodies if key.kind == _HEALTH and key not in newest]:
        del bodies[key]
    for key, body in newest.items():
        if key.kind == _HEALTH and Key("instance", key.id) in bodies:
            bodies[key] = body
