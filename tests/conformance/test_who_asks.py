"""Routes that want to know who asks: nobody gets in by a token, key or header that isn't good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conformance.client import post_chunks, request
from tests.conformance.judge import Request
from tests.conformance.scene import Scene
from tests.dataplane.snapshots import api_key, client, issuer, policies, route, tenant
from tests.support import forge
from tests.support.forge import AUDIENCE, ISSUER, b64, ec_jwk, ec_key, rsa_jwk, rsa_key, token

NOW = int(time.time())
KEYS = {"keys": [rsa_jwk(alg="RS256"), ec_jwk(kid="e1")]}
KEY, ROW = api_key("k1", client_id="shop")
ENTITIES = [
    issuer(
        "id",
        issuer=ISSUER,
        audiences=[AUDIENCE],
        algorithms=["RS256", "RS512", "PS256", "ES256"],
        keys=KEYS,
        headers={"X-Department": "dep"},
    ),
    client("shop", roles=["buyer"]),
    ROW,
    api_key("old", client_id="shop", enabled=False)[1],
    api_key("over", client_id="shop", expires_at=1.0)[1],
    tenant("blue"),
    tenant("red", hosts=["red.example"]),
    route("private", policies=policies(auth={"mode": "required"})),
    route("optional", "/optional", policies=policies(auth={"mode": "optional"})),
    route("open", "/open", policies=policies(auth={"mode": "anonymous"})),
    # The tests' own requests, which ask whether others are served.
    route("turn", "/turn/{n}"),
]
SENT: list[bytes] = []
"""Every credential that a test has sent."""


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, right now."""
    return forge.claims(**{"iat": NOW - 60, "exp": NOW + 3600, **changed})


def bearer(raw: bytes) -> bytes:
    SENT.append(raw)
    return b"Authorization: Bearer " + raw


def lets_in(scene: Scene, *lines: bytes, target: bytes = b"/x", host: bytes = b"h") -> Request:
    return scene.forwards(request(*lines, target=target, host=host))


def keeps_out(
    scene: Scene,
    *lines: bytes,
    status: int = 401,
    code: str = "invalid_token",
    target: bytes = b"/x",
) -> None:
    """The answer says nothing of what was sent, and the instance hears nothing."""
    before = len(scene.instance.requests)
    answer = scene.ask(request(*lines, target=target))
    assert (answer.status, answer.code) == (status, code), answer
    assert (answer.one("WWW-Authenticate") is not None) == (status == 401 or code[:4] == "insu")
    scene.serves_others()
    targets = [got.target for got in scene.instance.requests[before:] if got.is_complete]
    assert [one[:6] for one in targets] == [b"/turn/"]


def test_verified_token_is_let_in(scene: Scene) -> None:
    """The instance is told who it is, and not the token."""
    got = lets_in(scene, bearer(token(claims(roles=["a b", "c"], name="Ada", dep="Zürich"))))
    assert got.one("X-User-Id") == b"ada"
    assert got.one("X-User-Name") == b"Ada"
    assert got.one("X-Roles") == b"a%20b,c"
    assert got.one("X-Department") == b"Z%C3%BCrich"
    assert got.one("Authorization") is None
    assert lets_in(scene, bearer(token(claims(), key=ec_key(), algorithm="ES256", kid="e1")))


def test_nobody_is_kept_out(scene: Scene) -> None:
    """In every spelling of the path."""
    keeps_out(scene, code="unauthorized")
    for target in (
        b"/x/",
        b"/%78",
        b"/x?optional",
        b"/open/x",
        b"/OPEN",
        b"/optional/",
        b"/open%3F",
    ):
        answer = scene.ask(request(target=target))
        assert answer.status in {400, 401}, (target, answer)


def public(encoding: Encoding) -> bytes:
    return rsa_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "secret",
    [
        *(public(Encoding.PEM), public(Encoding.PEM).strip(), public(Encoding.DER)),
        *(json.dumps(rsa_jwk()).encode(), json.dumps(KEYS).encode()),
        *(b"\xef\xbb\xbf" + public(Encoding.PEM), b64(public(Encoding.DER)).encode(), b"", b"\0"),
    ],
)
def test_public_key_is_no_secret(scene: Scene, secret: bytes) -> None:
    """An HMAC with it is worth nothing."""
    keeps_out(scene, bearer(token(claims(), key=secret, algorithm="HS256")))


@pytest.mark.parametrize(
    "header",
    [
        *({"alg": alg} for alg in ("none", "None", "nOnE", "", ["RS256"], None, ..., "RS512")),
        *({"alg": alg} for alg in ("PS256", "ES256", "HS256", "rs256")),
        *({"crit": ["x"]}, {"crit": []}, {"b64": False}),
        *({"kid": kid} for kid in ("../../dev/null", "' or 1", "k9", 7, ["k1"], "e1")),
    ],
)
def test_header_of_a_token_decides_nothing(scene: Scene, header: dict[str, Any]) -> None:
    """Neither the algorithm, nor the key, nor what must be understood."""
    good = token(claims(), **{"alg": "RS256", **header})
    keeps_out(scene, bearer(good))
    unsigned = good.rpartition(b".")[0]
    keeps_out(scene, bearer(unsigned + b"."))


def test_key_in_a_token_opens_nothing(scene: Scene) -> None:
    """Nor is an address in one asked."""
    other, ours = rsa_key(number=1), f"http://127.0.0.1:{scene.gateway.port}/keys"
    for header in ({"jwk": rsa_jwk(other)}, {"jku": ours}, {"x5u": ours, "x5c": ["MIIB"]}):
        keeps_out(scene, bearer(token(claims(), key=other, **header)))


@pytest.mark.parametrize(
    "changed",
    [
        *({"iss": iss} for iss in (ISSUER[:-1], ISSUER + "x", ISSUER.upper(), [ISSUER], None, ...)),
        *({"aud": aud} for aud in ("other", [], None, ..., AUDIENCE.upper(), AUDIENCE + "/")),
        *({"exp": exp} for exp in (NOW - 60, None, ..., [NOW + 60], "9" * 10, True, -1, 10**400)),
        *(
            {"nbf": NOW + 600},
            {"iat": NOW + 600},
            {"nbf": "x"},
            {"tenant": 7},
            {"tenant": "a\r\nb"},
        ),
        {"sub": "x" * 4097},
    ],
)
def test_claims_are_judged_exactly(scene: Scene, changed: dict[str, Any]) -> None:
    """Issuer, audience, times."""
    keeps_out(scene, bearer(token(claims(**changed))))


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1500 + b"]" * 1500,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        json.dumps(claims()).encode()[:-1] + b', "exp": 99999999999}',
        json.dumps(claims(exp=...)).encode()[:-1] + b', "exp": NaN}',
        json.dumps(claims(exp=...)).encode()[:-1] + b', "exp": 1e400}',
        b"null",
    ],
)
def test_claims_are_read_strictly(scene: Scene, payload: bytes) -> None:
    """Depth, names that occur twice, numbers that are none."""
    keeps_out(scene, bearer(token(payload)))


SPELLINGS: list[Callable[[bytes], bytes]] = [
    lambda raw: raw + b"=",
    lambda raw: raw + b".",
    lambda raw: b"." + raw,
    lambda raw: raw.replace(b".", b"=.", 1),
    lambda raw: raw.replace(b".", b"..", 1),
    lambda raw: raw.replace(b".", b" .", 1),
    lambda raw: raw[:40] + b" " + raw[40:],
    lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    lambda raw: raw[:-2],
    lambda raw: raw.replace(b".", b",", 1),
    lambda raw: b'"' + raw + b'"',
    lambda raw: raw + b"A" * 5000,
]


@pytest.mark.parametrize("spelling", range(len(SPELLINGS)))
def test_token_has_one_spelling(scene: Scene, spelling: int) -> None:
    """Also after the right one has been seen."""
    good = token(claims(jti=spelling))
    lets_in(scene, bearer(good))
    keeps_out(scene, bearer(SPELLINGS[spelling](good)))
    lets_in(scene, bearer(good))


def test_token_counts_where_it_is_looked_for(scene: Scene) -> None:
    """Not in the query, a cookie, or beside another; its scheme has no case."""
    good = token(claims())
    lets_in(scene, b"authorization: bearer " + good)
    keeps_out(scene, target=b"/x?access_token=" + good, code="unauthorized")
    keeps_out(scene, b"Cookie: access_token=" + good, code="unauthorized")
    keeps_out(scene, b"Authorization: Basic " + good, code="unauthorized")
    keeps_out(scene, bearer(good), bearer(good))
    keeps_out(scene, bearer(good), bearer(token(claims(sub="eve"))))
    keeps_out(scene, b"Authorization: Bearer " + good + b", Bearer " + good)
    keeps_out(scene, b"Authorization: Bearer")
    keeps_out(scene, b"Authorization_: Bearer " + good, code="unauthorized")


def test_token_in_a_trailer_comes_too_late(scene: Scene) -> None:
    """What is decided by then stays so."""
    chunks = post_chunks(b"x", target=b"/x").removesuffix(b"\r\n")
    answer = scene.ask(chunks + bearer(token(claims())) + b"\r\n\r\n", b"POST")
    assert answer.code == "unauthorized"


@pytest.mark.parametrize(
    "key",
    [
        *(KEY[:-1], KEY + b"A", KEY[:-1] + b"B", KEY.replace(b"k1", b"k2"), KEY.upper()),
        *(b"fgk_old_" + b"A" * 43, b"fgk_over_" + b"A" * 43, b"fgk_", b"fgk_k1_", b"null", b"*"),
        *(b"fgk_k1_" + b"%" * 43, b"fgk_../k1_" + b"A" * 43),
    ],
)
def test_api_key_is_one_to_the_letter(scene: Scene, key: bytes) -> None:
    """Revoked, expired, unknown and damaged ones are told alike."""
    SENT.append(key)
    keeps_out(scene, b"X-Api-Key: " + key)
    keeps_out(scene, b"Authorization: Bearer " + key)


def test_api_key_says_whose_it_is(scene: Scene) -> None:
    """Once; the instance gets no key."""
    SENT.append(KEY)
    for line in (b"X-Api-Key: " + KEY, b"Authorization: Bearer " + KEY):
        got = lets_in(scene, line)
        assert (got.one("X-User-Id"), got.one("X-Roles")) == (b"shop", b"buyer")
        assert KEY not in b" ".join(value for _, value in got.headers)
    keeps_out(scene, b"X-Api-Key: " + KEY, b"X-Api-Key: " + KEY)
    keeps_out(scene, b"X_Api_Key: " + KEY, code="unauthorized")
    keeps_out(scene, b"X-Api-Key: " + token(claims()))


IDENTITY = (b"X-User-Id", b"X-User-Name", b"X-Roles", b"X-Department")


@pytest.mark.parametrize("target", [b"/open", b"/optional", b"/x"])
def test_identity_is_never_a_clients_word(scene: Scene, target: bytes) -> None:
    """In any case, with underscores, repeated, nominated, or as a trailer."""
    proof = bearer(token(claims()))
    lines = [proof] if target == b"/x" else []
    for name in IDENTITY:
        for spelling in (name, name.lower(), name.upper(), name.replace(b"-", b"_")):
            got = lets_in(
                *(scene, *lines, spelling + b": forged", spelling + b": forged"), target=target
            )
            assert b"forged" not in b" ".join(value for _, value in got.headers)
            assert got.one("X-User-Id") == (b"ada" if lines else None)
    nominated = b"Connection: close, X-User-Id, X-Tenant-Id, Authorization, X-Forwarded-For"
    got = lets_in(scene, nominated, *lines, target=target)
    assert got.one("X-User-Id") == (b"ada" if lines else None)
    assert got.one("X-Forwarded-For") == b"127.0.0.1"


def test_tenant_is_not_contradicted(scene: Scene) -> None:
    """Of host, token and the client's word, those that are there agree; its word alone is none."""
    blue, red = (bearer(token(claims(tenant=one))) for one in ("blue", "red"))
    assert lets_in(scene, blue).one("X-Tenant-Id") == b"blue"
    assert lets_in(scene, blue, b"X-Tenant-Id: blue").one("X-Tenant-Id") == b"blue"
    assert lets_in(scene, red, host=b"red.example").one("X-Tenant-Id") == b"red"
    for lines, host in (
        ((blue, b"X-Tenant-Id: red"), b"h"),
        ((blue, b"X-Tenant-Id: blue", b"x-tenant-id: red"), b"h"),
        ((blue,), b"red.example"),
        ((red, b"X-Tenant-Id: blue"), b"red.example"),
    ):
        answer = scene.ask(request(*lines, target=b"/x", host=host))
        assert (answer.status, answer.code) == (403, "tenant_mismatch")
    got = lets_in(scene, b"X-Tenant-Id: blue", target=b"/open")
    assert got.one("X-Tenant-Id") is None


def test_claims_become_no_other_headers(scene: Scene) -> None:
    """Whatever they hold: line ends, NUL, commas, other alphabets, the names of headers."""
    for text in ("a\r\nX-Roles: root", "a\nb", "é,ü", "\u2028", "%0d%0a", "\x7f", "a\tb", "\ud800"):
        got = lets_in(scene, bearer(token(claims(sub=text, roles=[text, "r"], name=text))))
        value = got.one("X-User-Id")
        assert value is not None
        assert value.isascii()
        assert got.names.count(b"x-roles") == 1
        assert b"root" not in [part.strip() for part in (got.one("X-Roles") or b"").split(b",")]


def test_nothing_of_credentials_is_logged(scene: Scene) -> None:
    """Neither tokens, nor keys, nor parts of them (this one looks at all that came before)."""
    scene.ask(request(bearer(token(claims(exp=1))), target=b"/x"))
    log = "\n".join(scene.gateway.logged)
    for sent in SENT:
        for part in sent.decode("latin-1").split("."):
            assert len(part) < 12 or part not in log
