"""Nothing under the management API is reached without a valid token, however it is spelled."""

from __future__ import annotations

import base64
import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from fengling_gateway.auth.tokens import unverified_claims
from fengling_gateway.management.api import ManagementApi
from fengling_gateway.management.listener import OPEN_PATHS
from fengling_gateway.model.entity import Key, canonical
from fengling_gateway.model.management_tokens import ADMIN, READ
from tests.management.fake_gateway import (
    NOW,
    OTHER_KEY,
    FakeGateway,
    json_of,
    resource,
    token,
)
from tests.management.raw_http import ask_raw


def documented_paths() -> list[tuple[bytes, bytes]]:
    """Return every (method, path) of the klein app, with ids filled in."""
    found = set()
    for rule in ManagementApi.app.url_map.iter_rules():
        path = rule.rule.replace("<entity_id>", "r1")
        names = ("routes", "settings") if "<any" in path else ("",)
        for name, method in product(names, rule.methods or {"GET", "POST"}):
            start, _, end = path.partition("<")
            full = start + name + end.partition(">")[2] if name else path
            found.add((method.encode(), full.encode()))
    return sorted(found)


SPELLINGS = (
    lambda path: path,
    lambda path: b"/" + path,
    lambda path: b"//" + path,
    lambda path: path + b"/",
    lambda path: path + b"//",
    lambda path: path + b".",
    lambda path: path + b"%20",
    lambda path: path + b"%00",
    lambda path: path + b"%2f",
    lambda path: path + b";a=b",
    lambda path: path + b"/.",
    lambda path: path + b"/..",
    lambda path: path + b"/..;/",
    lambda path: path + b"/../../livez",
    lambda path: b"/livez/.." + path,
    lambda path: b"/livez/../" + path,
    lambda path: b"/livez%2f.." + path,
    lambda path: b"/./" + path[1:],
    lambda path: b"/%2e/" + path[1:],
    lambda path: path.replace(b"/api", b"/%61pi"),
    lambda path: path.replace(b"/api", b"/%2561pi"),
    lambda path: path.replace(b"/api", b"/API"),
    lambda path: path.replace(b"/", b"%2f"),
    lambda path: b"/" + path.replace(b"/", b"%2F"),
    lambda path: path.replace(b"/", b"//"),
    lambda path: path.replace(b"/", b"\\"),
    lambda path: path.replace(b"gateway", b"gateway/."),
    lambda path: path.replace(b"gateway", b"gateway/..;"),
    lambda path: path.replace(b"gateway", b"gatew\xc3\xa4y"),
    lambda path: path.replace(b"gateway", b"g\xff"),
    lambda path: path + b"?token=x",
    lambda path: path + b"#/livez",
    lambda path: b"http://gateway" + path,
    lambda path: path[1:],
    lambda path: path + b"/unknown",
    lambda path: b"*",
)

REVOKED = Key("management_token", "revoked-1")
UNLIMITED = {"scopes": None, "tenants": None, "expires_at": None, "revoked_at": None}


def tampered(good: str) -> str:
    """Return a token of a reader who has written himself another scope."""
    head, _, signature = good.split(".")
    claims = {**unverified_claims(good)["claims"], "scope": ADMIN}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


CREDENTIALS = {
    "none": (),
    "empty": (b"Authorization:",),
    "no scheme": (b"Authorization: " + token().encode(),),
    "basic": (b"Authorization: Basic b3BzOm9wcw==",),
    "malformed": (b"Authorization: Bearer abc",),
    "padded": (b"Authorization: Bearer " + token().encode() + b"=",),
    "expired": (b"Authorization: Bearer " + token(now=NOW - 601).encode(),),
    "foreign key": (b"Authorization: Bearer " + token(key=OTHER_KEY).encode(),),
    "tampered": (b"Authorization: Bearer " + tampered(token()).encode(),),
    "unsigned": (b"Authorization: Bearer " + token().rpartition(".")[0].encode() + b".",),
    "revoked": (b"Authorization: Bearer " + token(ADMIN, token_id=REVOKED.id).encode(),),
    "two headers": (
        b"Authorization: Bearer " + token().encode(),
        b"Authorization: Bearer " + token().encode(),
    ),
    "cookie": (b"Cookie: token=" + token().encode(),),
    "not text": (b"Authorization: Bearer \xff\xfe",),
}


def test_the_sweep_knows_every_operation() -> None:
    """The list of paths is taken from the app, so that a new one can't be forgotten."""
    paths = {path for _, path in documented_paths()}
    assert {b"/api/gateway/status", b"/api/gateway/reload", b"/api/gateway/routes/r1"} <= paths


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
def test_without_a_valid_token_no_spelling_is_answered(credentials: tuple[bytes, ...]) -> None:
    """Every operation times every spelling: 401 or 429, and the gateway isn't asked."""
    gateway = FakeGateway()
    gateway.served[REVOKED] = canonical({**UNLIMITED, "revoked_at": NOW - 1})
    root = resource(gateway)
    for (method, path), spell in product(documented_paths(), SPELLINGS):
        if path in OPEN_PATHS:
            continue
        target = spell(path)
        answer = ask_raw(root, target, method=method, headers=credentials, body=b"{}")
        # 400: not even a request line for Twisted.
        assert answer.status in {400, 401, 429}, (method, target, answer)
        if answer.status == 401:
            assert answer.headers[b"www-authenticate"].startswith(b"Bearer ")
    assert gateway.asked == []


def test_with_a_weak_token_nothing_is_changed() -> None:
    """A token for reading meets 403 where something is done, in no spelling anything else."""
    gateway = FakeGateway()
    root = resource(gateway)
    bearer = (b"Authorization: Bearer " + token(READ).encode(),)
    for (method, path), spell in product(documented_paths(), SPELLINGS):
        if not path.endswith((b"reload", b"confirm", b"drain", b"restart")):
            continue
        answer = ask_raw(root, spell(path), method=method, headers=bearer, body=b"{}")
        assert 400 <= answer.status < 500, (method, spell(path), answer)
    assert gateway.asked == []


def test_with_a_strong_token_only_the_documented_spelling_works() -> None:
    """Whoever may do everything still gets no second spelling of a path."""
    gateway = FakeGateway()
    root = resource(gateway)
    bearer = (b"Authorization: Bearer " + token(ADMIN).encode(),)
    answers = {
        spell(b"/api/gateway/workers"): ask_raw(
            root, spell(b"/api/gateway/workers"), headers=bearer
        ).status
        for spell in SPELLINGS
    }
    assert {target for target, status in answers.items() if status < 400} == {
        b"/api/gateway/workers"
    }
    assert all(status < 500 for status in answers.values())


@given(path=st.binary(max_size=60), method=st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS"]))
def test_any_bytes_for_a_path_need_a_token(path: bytes, method: bytes) -> None:
    """Random paths are never answered with success or a fault of ours."""
    target = b"/" + bytes(byte for byte in path if byte > 0x20)
    if target.partition(b"?")[0] in OPEN_PATHS:
        return
    answer = ask_raw(resource(FakeGateway()), target, method=method)
    assert answer.status in {400, 401}


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_probes_need_no_token(path: bytes) -> None:
    """Kubernetes and Prometheus hold none."""
    assert ask_raw(resource(FakeGateway()), path).status == 200


@given(
    host=st.one_of(st.binary(max_size=20), st.sampled_from([b"..", b"a" * 64, b"[", b":0:"])),
    method=st.one_of(st.sampled_from([b"GET", b"HEAD", b"POST"]), st.binary(min_size=1)),
    path=st.sampled_from(sorted(OPEN_PATHS)),
)
def test_an_odd_request_for_a_probe_is_no_fault_of_ours(
    host: bytes, method: bytes, path: bytes
) -> None:
    """Hosts and methods of random bytes: answered or refused, never 500."""
    host, method = (bytes(b for b in text if b > 0x20) for text in (host, method))
    answer = ask_raw(resource(FakeGateway()), path, method=method, headers=(b"Host: " + host,))
    assert answer.status < 500


def test_an_answer_carries_security_headers() -> None:
    """Nothing is cached, sniffed, framed or told about the server's software."""
    answer = ask_raw(resource(FakeGateway()), b"/api/gateway/status")
    assert answer.headers[b"cache-control"] == b"no-store"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert b"default-src 'none'" in answer.headers[b"content-security-policy"]
    assert b"server" not in answer.headers


def test_wrong_tokens_are_limited_per_address() -> None:
    """The sixth failure within a second is 429; another address and time are not affected."""
    clock = Clock()
    root = resource(FakeGateway(), clock)
    wrong = CREDENTIALS["foreign key"]

    def status(peer: str) -> int:
        return ask_raw(root, b"/api/gateway/status", headers=wrong, peer=peer).status

    assert [status("192.0.2.1") for _ in range(7)] == [401] * 5 + [429] * 2
    assert status("192.0.2.2") == 401
    clock.advance(1)
    assert status("192.0.2.1") == 401


def test_a_valid_token_passes_a_limited_address() -> None:
    """Who guesses behind the same NAT can't lock an operator out."""
    root = resource(FakeGateway())
    for _ in range(10):
        ask_raw(root, b"/api/gateway/status", headers=CREDENTIALS["foreign key"])
    bearer = (b"authorization: bearer " + token().encode(),)
    assert ask_raw(root, b"/api/gateway/status", headers=bearer).status == 200


def test_requests_without_a_token_are_never_limited() -> None:
    """They guess nothing: 401 each time."""
    root = resource(FakeGateway())
    assert {ask_raw(root, b"/api/gateway/x").status for _ in range(20)} == {401}


def test_a_revoked_token_is_told_so() -> None:
    """Its holder had a valid one; the trail says whose it was."""
    gateway = FakeGateway()
    gateway.served[REVOKED] = canonical({**UNLIMITED, "revoked_at": NOW - 1})
    root = resource(gateway)
    answer = ask_raw(root, b"/api/gateway/status", headers=CREDENTIALS["revoked"])
    assert json_of(answer.body)["detail"] == "the token is revoked"
    bearer = (b"Authorization: Bearer " + token(ADMIN).encode(),)
    [noted] = json_of(ask_raw(root, b"/api/gateway/audit", headers=bearer).body)["items"]
    assert (noted["outcome"], noted["who"]["token_id"]) == ("revoked", REVOKED.id)


def test_an_expired_token_is_told_so() -> None:
    """Its holder has proved to have had a valid one."""
    answer = ask_raw(
        resource(FakeGateway()), b"/api/gateway/status", headers=CREDENTIALS["expired"]
    )
    assert json_of(answer.body)["detail"] == "the token has expired"


def test_a_body_without_a_token_is_not_looked_at() -> None:
    """The answer to a large body is 401, not 413: nothing is told before the token."""
    answer = ask_raw(
        resource(FakeGateway()), b"/api/gateway/explain", method=b"POST", body=b"x" * 70_000
    )
    assert answer.status == 401


@pytest.mark.parametrize("body", [b"--x\r\n", b"a=b&c=d"])
@pytest.mark.parametrize(
    "kind", [b"multipart/form-data", b"multipart/form-data; boundary=x", b"text/plain"]
)
def test_a_form_is_not_read(kind: bytes, body: bytes) -> None:
    """Of a stranger nothing, and of who has a token nothing that is no JSON."""
    headers = (b"Content-Type: " + kind,)
    bearer = (*headers, b"Authorization: Bearer " + token(ADMIN).encode())
    for sent, status in ((headers, 401), (bearer, 415)):
        answer = ask_raw(
            resource(FakeGateway()),
            b"/api/gateway/reload",
            method=b"POST",
            headers=sent,
            body=body,
        )
        assert answer.status == status


def test_the_body_of_head_is_empty() -> None:
    """A HEAD that is refused has no body to confuse the next answer with."""
    answer = ask_raw(resource(FakeGateway()), b"/api/gateway/status", method=b"HEAD")
    assert (answer.status, answer.body) == (401, b"")
