"""Listening sockets: made, taken over, closed."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.supervisor.sockets import BindError, ListenerAddress, ListenerSockets


class ListenerSocketsTests(SynchronousTestCase):
    """`ListenerSockets`"""

    def setUp(self) -> None:
        self.former = ListenerSockets([ListenerAddress("http", "127.0.0.1", 0)])
        self.former.open(2)
        self.addCleanup(self.former.close)
        _, port = self.former.addresses()["http"]
        self.sockets = ListenerSockets([ListenerAddress("http", "127.0.0.1", port)])
        self.addCleanup(self.sockets.close)

    def handed_over(self) -> list[socket.socket]:
        return [one.dup() for one in self.former.by_listener["http"]]

    def connects(self) -> bool:
        try:
            socket.create_connection(self.sockets.addresses()["http"], 5).close()
        except ConnectionRefusedError:
            return False
        return True

    def test_more_or_fewer_slots_than_before(self) -> None:
        """Missing ones are opened on the same port; those beyond stay to be read."""
        self.assertTrue(self.sockets.adopt("http", self.handed_over()))
        self.sockets.open(1)
        self.assertEqual(self.sockets.slots, 2)
        self.sockets.open(4)
        self.assertEqual(self.sockets.slots, 4)
        ports = {one.getsockname()[1] for one in self.sockets.by_listener["http"]}
        self.assertEqual(len(ports), 1)

    def test_address_of_another_gateway_is_refused(self) -> None:
        """SO_REUSEPORT would let both have it, and half of the connections each."""
        with self.assertRaisesRegex(BindError, "listener http .*Address already in use"):
            self.sockets.open(2)

    def test_address_of_workers_that_could_not_hand_over_is_shared_with_them(self) -> None:
        """They are on their way out."""
        self.sockets.open(2, alone=False)
        self.assertEqual(self.sockets.slots, 2)

    def test_sockets_of_another_address_or_listener_are_not_taken(self) -> None:
        """A listener that has moved is bound anew."""
        moved = ListenerSockets([ListenerAddress("http", "127.0.0.2", 0)])
        self.addCleanup(moved.close)
        for name in ("http", "gone"):
            offered = self.handed_over()
            self.assertFalse(moved.adopt(name, offered))
            for one in offered:
                one.close()

    def test_sockets_of_a_name_are_taken(self) -> None:
        """What they tell is the IP address that it stood for."""
        offered = self.handed_over()
        named = ListenerSockets([ListenerAddress("http", "localhost", offered[0].getsockname()[1])])
        self.addCleanup(named.close)
        self.assertTrue(named.adopt("http", offered))

    def test_sockets_that_listen_no_more_are_bound_anew(self) -> None:
        """Their workers were draining for the last time when their supervisor was killed."""
        self.former.refuse()
        self.assertFalse(self.sockets.adopt("http", self.handed_over()))
        self.sockets.open(2)
        self.assertTrue(self.connects())

    def test_sockets_that_still_listen_are_taken_without_the_others(self) -> None:
        """Not every worker had come to it."""
        offered = self.handed_over()
        offered[0].shutdown(socket.SHUT_RDWR)
        self.assertTrue(self.sockets.adopt("http", offered))
        self.sockets.open(2)
        self.assertTrue(all(self.connects() for _ in range(20)))

    def test_closed_sockets_have_no_address(self) -> None:
        """The status can be asked for until the very end."""
        self.former.close()
        self.assertEqual(self.former.addresses(), {})
