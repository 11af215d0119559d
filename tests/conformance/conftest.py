"""Fixtures of the conformance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.scene import Scene, staged
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def _module_scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One data plane per module, with the module's ``ENTITIES`` and ``SETTINGS``, if it has any."""
    entities = getattr(request.module, "ENTITIES", ())
    settings = getattr(request.module, "SETTINGS", {})
    with staged(*entities, **settings) as scene:
        yield scene
        scene.is_clean()
        wait_until(lambda: scene.counter("connections_now") == 0)


@pytest.fixture
def scene(_module_scene: Scene) -> Iterator[Scene]:
    """The module's data plane, and an instance that remembers nothing of other tests."""
    _module_scene.instance.begin()
    yield _module_scene
    _module_scene.is_clean()
