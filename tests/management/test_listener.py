"""The port of the management API."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import treq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from fengling_gateway.auth.keys import WeakKeyError
from fengling_gateway.management.listener import ManagementListener
from tests.management.fake_gateway import KEY, NOW, FakeGateway, token


def make(keys: list[str], port: int = 0, reactor: Any = None) -> ManagementListener:
    return ManagementListener(
        reactor=reactor or Clock(),
        gateway=FakeGateway(),
        address=("127.0.0.1", port),
        token_keys=keys,
        wall_clock=lambda: NOW,
    )


@pytest.mark.parametrize(
    "keys", [[], ["k1:"], ["changeme"], ["k1:" + "00" * 32], ["k1:" + "aa" * 31]]
)
def test_without_a_good_key_there_is_no_management_api(keys: list[str]) -> None:
    """No default, no short one, no placeholder: it does not start."""
    with pytest.raises(WeakKeyError):
        make(keys)


class PortTests(TestCase):
    """On a real port."""

    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251

        self.reactor: Any = reactor

    async def test_it_serves_and_stops(self) -> None:
        """With a token over HTTP; afterwards nobody listens."""
        listener = make([KEY], reactor=self.reactor)
        listener.start()
        url = f"http://127.0.0.1:{listener.port}/api/gateway/status"
        agent = treq.client.HTTPClient(_unpooled(self.reactor))
        answer = await agent.get(url, headers={"Authorization": f"Bearer {token()}"})
        self.assertEqual((await answer.json())["node"], "n1")
        self.assertEqual((await agent.get(url)).code, 401)
        await listener.stop()
        with self.assertRaises(Exception):  # noqa: B017 - whatever Twisted calls it
            await agent.get(url)

    def test_a_taken_address_is_one_clear_error(self) -> None:
        """It names the setting and the reason."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listener = make([KEY], port=port, reactor=self.reactor)
            with pytest.raises(OSError, match=rf"management\.address 127\.0\.0\.1:{port}"):
                listener.start()

    def test_stopping_before_starting_does_nothing(self) -> None:
        """A gateway whose start failed half-way stops all the same."""
        stopped: Deferred[None] = make([KEY]).stop()
        self.successResultOf(stopped)


def _unpooled(reactor: Any) -> Any:
    from twisted.web.client import Agent

    return Agent(reactor)
