"""Plans: the effective policies of routes, compiled."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from fengling_gateway.http.transforms import NO_EDITS
from fengling_gateway.routing.plan import (
    ForwardPlan,
    PlanCompiler,
    RedirectPlan,
    RespondPlan,
    compile_plan,
)
from tests.routing.builders import Body, make_body


def forward(
    route: Body | None = None, service: Body | None = None, defaults: Body | None = None
) -> ForwardPlan:
    body = make_body(policies=route or {})
    plan = compile_plan(body, service or {}, defaults or {})
    assert isinstance(plan, ForwardPlan)
    return plan


def make_compiler(services: dict[str, Body] | None = None, seed: int = 1) -> PlanCompiler:
    known = services or {}
    return PlanCompiler(lambda service: known.get(service, {}), {}, Random(seed))


class ForwardPlanTests:
    def test_route_without_policies_has_the_built_in_defaults(self) -> None:
        """Ten mebibytes of body, one retry, the service's timeouts, nothing edited."""
        plan = forward()
        assert (plan.service_id, plan.split, plan.branches) == ("s", None, None)
        assert (plan.max_request_body, plan.retry_attempts) == (10_485_760, 1)
        assert (plan.connect_timeout, plan.first_byte_timeout) == (None, None)
        assert (plan.idle_timeout, plan.total_timeout) == (None, None)
        assert plan.rewrite_path is None
        assert plan.request_headers is NO_EDITS
        assert plan.response_headers is NO_EDITS
        assert repr(plan) == "<ForwardPlan s>"

    @pytest.mark.parametrize(
        ("layers", "attempts"),
        [
            (({}, {}, {"retry": {"attempts": 3}}), 3),
            (({}, {"retry": {"attempts": 2}}, {"retry": {"attempts": 3}}), 2),
            (({"retry": {"attempts": 0}}, {"retry": {"attempts": 2}}, {}), 0),
            (({"retry": None}, {"retry": {"attempts": 2}}, {}), 0),
        ],
    )
    def test_nearer_layer_wins(self, layers: tuple[Body, Body, Body], attempts: int) -> None:
        """The route before the service before the defaults; null switches off."""
        route, service, defaults = layers
        assert forward(route, service, defaults).retry_attempts == attempts

    def test_policies_override_whole_keys(self) -> None:
        """A route's timeouts replace the service's, they do not mix."""
        plan = forward({"timeouts": {"total": 5}}, {"timeouts": {"idle": 9, "connect": 1}})
        assert (plan.total_timeout, plan.idle_timeout, plan.connect_timeout) == (5.0, None, None)
        assert type(plan.total_timeout) is float

    @pytest.mark.parametrize("limits", [None, {"max_request_body": None}])
    def test_limit_can_be_lifted(self, limits: Body | None) -> None:
        """Off and null both mean unlimited."""
        assert forward({"limits": limits}).max_request_body is None

    def test_edits_are_compiled(self) -> None:
        """Paths and headers come ready for the request path."""
        plan = forward(
            {
                "path": {"strip": "/api", "prefix": None},
                "request_headers": {"set": {"X-A": "1"}, "add": {}, "remove": []},
                "response_headers": {"set": {}, "add": {}, "remove": ["Server"]},
            }
        )
        assert plan.rewrite_path is not None
        assert plan.rewrite_path.apply(b"/api/x") == b"/x"
        assert plan.request_headers.block == b"X-A: 1\r\n"
        assert plan.response_headers.drop == {b"server"}

    def test_host_header_is_the_service_s_unless_the_route_says_it(self) -> None:
        """A literal one."""
        assert forward().host_header is None
        assert forward({"host_header": {"value": "a.example:81"}}).host_header == b"a.example:81"
        assert forward({"host_header": None}, {"host_header": {"value": "b"}}).host_header is None

    def test_whole_path_is_replaced(self) -> None:
        """In place of prefixes."""
        plan = forward({"path": {"strip": None, "prefix": None, "replace": "/x"}})
        assert plan.rewrite_path is not None
        assert plan.rewrite_path.apply(b"/a?b") == b"/x?b"

    def test_routes_that_say_the_same_share_their_plan(self) -> None:
        """Ten thousand routes without policies of their own need one plan a service."""
        compiler = make_compiler()
        one, two, other = (
            compiler.compile(make_body(str(number), policies=policies))
            for number, policies in enumerate([{}, {}, {"retry": {"attempts": 2}}])
        )
        assert one is two
        assert other is not one


class SplitPlanTests:
    def test_each_branch_has_the_policies_of_its_service(self) -> None:
        """A service of a split is forwarded to as if the route named it alone."""
        compiler = make_compiler({"b": {"path": {"strip": "/old", "prefix": None}}})
        plan = compiler.compile(make_body(service_id=None, split={"a": 90, "b": 10}))
        assert isinstance(plan, ForwardPlan)
        assert plan.split is not None
        assert plan.branches is not None
        assert plan.branches["a"].rewrite_path is None
        assert plan.branches["b"].rewrite_path is not None
        assert plan.branches["b"].service_id == "b"
        picked = Counter(plan.split.pick() for _ in range(10))
        assert picked == {"a": 9, "b": 1}
        assert repr(plan) == "<ForwardPlan <Split a=90 b=10>>"

    def test_split_with_equal_weights_goes_on(self) -> None:
        """A change elsewhere in the route does not begin its cycle anew."""
        body = make_body(service_id=None, split={"a": 9, "b": 1})
        before = make_compiler().compile(body)
        assert isinstance(before, ForwardPlan)
        again = make_compiler(seed=2).compile({**body, "priority": 1}, before)
        other = make_compiler(seed=2).compile({**body, "split": {"a": 1, "b": 1}}, before)
        assert isinstance(again, ForwardPlan)
        assert isinstance(other, ForwardPlan)
        assert again.split is before.split
        assert other.split is not before.split


class AnswerPlanTests:
    def test_redirect_is_compiled(self) -> None:
        """A redirect has a status and a Location to fill."""
        body = make_body(
            service_id=None,
            redirect={"status": 308, "location": "https://new.example{path}{query}"},
        )
        plan = compile_plan(body, {}, {})
        assert isinstance(plan, RedirectPlan)
        assert plan.status == 308
        assert plan.location.fill(b"h", b"/a", b"b") == b"https://new.example/a?b"
        assert plan.edit_path is None
        assert repr(plan) == "<RedirectPlan 308>"

    def test_path_of_a_redirect_is_edited_before(self) -> None:
        """The Location has what is left of it."""
        redirect = {
            "status": 302,
            "location": "/new{path}",
            "path": {"strip": "/a", "prefix": "/b"},
        }
        plan = compile_plan(make_body(service_id=None, redirect=redirect), {}, {})
        assert isinstance(plan, RedirectPlan)
        assert plan.edit_path is not None
        assert plan.edit_path.apply(b"/a/x") == b"/b/x"

    @pytest.mark.parametrize(
        ("headers", "text", "expected"),
        [
            ({}, "gone", ((b"Content-Type", b"text/plain; charset=utf-8"),)),
            ({"content-type": "text/html"}, "<p>", ((b"content-type", b"text/html"),)),
            ({"X-A": "1"}, "", ((b"X-A", b"1"),)),
            ({"Content-Length": "7"}, "", ()),
        ],
    )
    def test_response_says_what_its_body_is(
        self, headers: dict[str, str], text: str, expected: tuple[Any, ...]
    ) -> None:
        """A body without a type is plain text; framing headers are not the configuration's."""
        respond = {"status": 410, "headers": headers, "body": text}
        plan = compile_plan(make_body(service_id=None, respond=respond), {}, {})
        assert isinstance(plan, RespondPlan)
        assert (plan.status, plan.headers, plan.body) == (410, expected, text.encode())
        assert repr(plan) == "<RespondPlan 410>"

    def test_answers_have_response_header_edits(self) -> None:
        """What the defaults say of responses holds for the gateway's own answers too."""
        respond = {"status": 200, "headers": {}, "body": ""}
        defaults = {"response_headers": {"set": {"X-Frame-Options": "DENY"}}}
        plan = compile_plan(make_body(service_id=None, respond=respond), {}, defaults)
        assert plan.response_headers.block == b"X-Frame-Options: DENY\r\n"
