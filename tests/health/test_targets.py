"""What is to be probed, and how."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.health.targets import Changed, Check, Idle, Target, Targets
from fengling_gateway.health.verdicts import HEALTHY, UNHEALTHY, UNKNOWN, Standing
from fengling_gateway.model.entity import Key
from tests.health.builders import Configuration, probed


def target(check: dict[str, Any], address: str = "http://10.0.0.5:8080", **service: Any) -> Target:
    targets = Targets()
    targets.follow(probed(check, address, **service).bodies)
    return targets.by_id["i0"]


def check_of(check: dict[str, Any]) -> Check:
    return target(check).check


class TargetTests:
    def test_request_says_who_asks_and_closes(self) -> None:
        """One request on a connection of its own."""
        assert target({"path": "/health?full=1"}).request == (
            b"GET /health?full=1 HTTP/1.1\r\nHost: 10.0.0.5:8080\r\n"
            b"User-Agent: fengling-health-check\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
            b"Connection: close\r\n\r\n"
        )

    def test_host_and_headers_are_those_of_the_check(self) -> None:
        """Instead of ours, where they are the same."""
        asked = {
            "method": "HEAD",
            "host": "shop.example",
            "headers": {"user-agent": "me", "X-A": "1"},
        }
        assert target(asked).request == (
            b"HEAD / HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
            b"X-A: 1\r\nuser-agent: me\r\nConnection: close\r\n\r\n"
        )

    def test_usual_port_is_not_said(self) -> None:
        """As browsers do."""
        assert b"\r\nHost: a.example\r\n" in target({}, "https://a.example").request
        assert b"\r\nHost: [::1]:443\r\n" in target({}, "http://[::1]:443").request

    def test_address_is_taken_apart(self) -> None:
        """A name has to be resolved, an address not; and TLS is the service's."""
        found = target({}, "https://[2001:db8::1]:8443", tls={"verify": False})
        assert (found.host, found.port, found.is_named) == ("2001:db8::1", 8443, False)
        assert found.tls is not None
        assert not found.tls.verify
        named = target({}, "http://orders.internal:80", tls={"verify": False})
        assert (named.host, named.is_named, named.tls) == ("orders.internal", True, None)
        assert not target({}, "http://10.0.0.5:80").is_named

    def test_statuses_are_ranges(self) -> None:
        """With their ends."""
        check = check_of({"expected": [204, "300-302"]})
        passing = [status for status in range(100, 600) if check.expects(status)]
        assert passing == [204, 300, 301, 302]

    def test_pause_depends_on_what_is_known(self) -> None:
        """Slower where nothing is likely to change soon; never while it may be changing."""
        check = check_of({"interval": "5s", "unhealthy_interval": "20s", "idle_interval": "60s"})
        for standing, is_idle, pause in (
            (Standing(UNKNOWN), True, 5.0),
            (Standing(HEALTHY), False, 5.0),
            (Standing(HEALTHY), True, 60.0),
            (Standing(HEALTHY, failures=1), True, 5.0),
            (Standing(UNHEALTHY), False, 20.0),
            (Standing(UNHEALTHY), True, 20.0),
            (Standing(UNHEALTHY, passes=1), True, 5.0),
        ):
            assert check.pause(standing, is_idle) == pause, standing
        usual = check_of({})
        assert usual.pause(Standing(UNHEALTHY), True) == usual.pause(Standing(HEALTHY), True) == 5.0


class FollowingTests:
    def test_service_without_a_check_is_not_probed(self) -> None:
        """And nothing is said of its instances."""
        configuration = probed({}, "http://10.0.0.1:1")
        configuration.put("service", "plain")
        configuration.put("instance", "p", service_id="plain", address="http://10.0.0.2:1")
        targets = Targets()
        assert targets.follow(configuration.bodies) == Changed(["i0"], [], [])
        assert targets.idle == {}

    def test_maintenance_and_disabled_services_are_left_alone(self) -> None:
        """With the reason; draining instances are probed."""
        configuration = probed({}, "http://10.0.0.1:1", "http://10.0.0.2:1")
        targets = Targets()
        targets.follow(configuration.bodies)
        key = configuration.change("instance", "i0", state="maintenance")
        assert targets.follow(configuration.bodies, {key}) == Changed([], [], ["i0"])
        assert targets.idle == {"i0": Idle("s", "it is in maintenance")}
        key = configuration.change("instance", "i0", state="drain")
        assert targets.follow(configuration.bodies, {key}) == Changed(["i0"], [], [])
        key = configuration.change("service", "s", enabled=False)
        assert targets.follow(configuration.bodies, {key}) == Changed([], [], ["i0", "i1"])
        assert targets.idle["i1"] == Idle("s", "its service is not enabled")

    def test_change_of_a_check_is_one_of_every_instance(self) -> None:
        """And one that says nothing new is none."""
        configuration = probed({}, "http://10.0.0.1:1", "http://10.0.0.2:1")
        targets = Targets()
        targets.follow(configuration.bodies)
        key = configuration.change("service", "s", health_check={"path": "/other"})
        assert targets.follow(configuration.bodies, {key}) == Changed([], ["i0", "i1"], [])
        assert targets.follow(configuration.bodies, {key}) == Changed([], [], [])
        assert targets.follow(configuration.bodies, {Key("instance_health", "i0")}) == ([], [], [])

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c"]),
                st.sampled_from(["s", "t", None]),
                st.sampled_from(["ready", "maintenance"]),
            )
            | st.tuples(
                st.sampled_from(["s", "t"]), st.sampled_from([None, "/x", "/y"]), st.booleans()
            ),
            max_size=20,
        )
    )
    def test_following_changes_leads_where_reading_all_does(self, edits: list[Any]) -> None:
        """Whatever was edited in which order; and each change is told once."""
        configuration = Configuration()
        targets = Targets()
        known: dict[str, Target] = {}
        for name, value, more in edits:
            if name in {"s", "t"}:
                check = None if value is None else {"path": value}
                key = configuration.put("service", name, health_check=check, enabled=more)
            elif value is None:
                if name not in configuration.bodies["instance"]:
                    continue
                key = configuration.drop("instance", name)
            else:
                key = configuration.put(
                    "instance", name, service_id=value, address="http://10.0.0.1", state=more
                )
            changed = targets.follow(configuration.bodies, {key})
            for one in (*changed.new, *changed.other):
                known[one] = targets.by_id[one]
            for one in changed.gone:
                del known[one]
            anew = Targets()
            anew.follow(configuration.bodies)
            assert targets.by_id == anew.by_id == known
            assert targets.idle == anew.idle
