"""What certificates and secrets are accepted, and what is said of others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model import pem
from fengling_gateway.model.certificates import names_taken
from fengling_gateway.model.delta import Change, decode_changes, encode_changes
from fengling_gateway.model.effective import EffectiveConfig
from fengling_gateway.model.entity import KINDS, NUMBERED_KINDS, Key
from fengling_gateway.model.validation import Accepted, Rejected, validate
from tests.support.issued import MIDDLE, ROOT, SEALED, SHOP, issue

CERTIFICATE = Key("certificate", "shop")
SECRET = Key("secret", "shop-key")


def judged(**fields: Any) -> dict[str, Any]:
    """Return the canonical body of a certificate, with some fields changed."""
    verdict = validate(CERTIFICATE, {"chain": SHOP.chain, "key_secret": "shop-key", **fields})
    assert isinstance(verdict, Accepted), verdict
    body: dict[str, Any] = json.loads(verdict.body)
    return body


def refused(**fields: Any) -> str:
    verdict = validate(CERTIFICATE, {"chain": SHOP.chain, "key_secret": "shop-key", **fields})
    assert isinstance(verdict, Rejected), verdict
    return "; ".join(problem.message for problem in verdict.problems)


class ChainTests:
    def test_body_has_nothing_but_the_certificates(self) -> None:
        """Whatever `openssl s_client` has written between them."""
        spoken = f" 0 s:CN = shop\n{SHOP.pem.replace(chr(10), chr(13) + chr(10))}---\n{SHOP.above}"
        assert judged(chain=spoken)["chain"] == SHOP.chain

    def test_body_tells_what_the_certificate_says_of_itself(self) -> None:
        """Nobody who shows it has to read it again."""
        body = judged(enabled=False)
        assert body["names"] == ["*.shop.example", "shop.example"]
        assert body["not_before"] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        assert body["not_after"] == datetime(2046, 1, 1, tzinfo=UTC).timestamp()
        assert len(body["fingerprint"]) == 64

    def test_hosts_replace_the_names_of_the_certificate(self) -> None:
        """Of a wildcard, one label is meant and no more."""
        assert judged(hosts=["b.shop.example", "A.shop.example"])["names"] == [
            "a.shop.example",
            "b.shop.example",
        ]
        assert refused(hosts=["other.example"]) == (
            "must be a name of the certificate, which is for *.shop.example, shop.example"
        )

    def test_certificate_without_names_is_for_no_client(self) -> None:
        """It may be one that we show to instances."""
        assert judged(chain=ROOT.pem)["names"] == []
        assert "for no name at all" in refused(chain=ROOT.pem, hosts=["a.example"])

    def test_expired_certificate_is_accepted(self) -> None:
        """What is served must not depend on the day: status warns instead."""
        old = issue("a.example", end=datetime(2026, 1, 2, tzinfo=UTC))
        assert judged(chain=old.pem)["not_after"] == 1767312000

    @pytest.mark.parametrize(
        ("chain", "why"),
        [
            (SHOP.above + SHOP.pem, "certificate 2 must be the one that issued certificate 1"),
            (SHOP.pem + ROOT.pem, "certificate 2 must be the one that issued certificate 1"),
            (SHOP.chain + SHOP.pem, "certificate 3 must be the one that issued certificate 2"),
            (SHOP.key, "holds a private key; a key is kept as a secret"),
            (SHOP.chain + SHOP.key, "holds a private key"),
            ("-----BEGIN CERTIFICATE-----\nAAAA", "has an END line missing or odd characters"),
            (SHOP.pem.replace("M", "é", 1), "has an END line missing or odd characters"),
            (SHOP.pem[:200] + SHOP.pem[220:], "certificate 1 can't be read"),
            (SHOP.pem.replace("CERTIFICATE", "PKCS7"), "must hold certificates only, no PKCS7"),
            ("shop.pem", "must be PEM"),
            (issue("a.example", key="1024").pem, "an RSA key of 1024 bits; 2048 is the least"),
        ],
    )
    def test_what_is_no_chain_is_refused(self, chain: str, why: str) -> None:
        """By a rule that one can look up, and without a word of it."""
        assert why in refused(chain=chain)

    def test_key_in_the_place_of_its_secrets_name_is_not_repeated(self) -> None:
        """Whoever pastes it there has made one mistake already."""
        problems = refused(key_secret="-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG")
        assert "id of a secret" in problems
        assert "MIGH" not in problems

    def test_longest_chain_is_complete(self) -> None:
        """The root may be there, too."""
        assert judged(chain=SHOP.pem + MIDDLE.pem + ROOT.pem)

    def test_what_is_kept_is_bounded_too(self) -> None:
        """In its own lines it may be longer than as it was given."""
        root = issue(*(f"{number}.example" for number in range(40)), by=ROOT).pem
        begin, *lines, end = root.splitlines()
        flat = f"{begin}\n{''.join(lines)}\n{end}\n"
        count = 50_000 // len(flat)
        assert count * len(root) > 50_000
        verdict = validate(Key("service", "s"), {"tls": {"ca": flat * count}})
        assert isinstance(verdict, Rejected)
        assert [(one.path, one.code) for one in verdict.problems] == [
            ("service s: tls.ca", "too_long")
        ]

    @given(st.text(st.characters(codec="utf-8"), max_size=300), st.integers(0, 400))
    def test_damage_is_refused_or_repaired(self, garbage: str, at: int) -> None:
        """Never is there anything else in a body than certificates that can be read."""
        text = SHOP.pem[:at] + garbage + SHOP.pem[at:]
        verdict = validate(CERTIFICATE, {"chain": text, "key_secret": "k"})
        if isinstance(verdict, Accepted):
            pem.read_certificates(json.loads(verdict.body)["chain"])


class SecretTests:
    @pytest.mark.parametrize(
        "value", ["file:/run/secrets/shop.pem", "env:SHOP_KEY", SEALED, "file:/ü", "env:_"]
    )
    def test_reference_and_ciphertext_are_accepted(self, value: str) -> None:
        """As they are."""
        verdict = validate(SECRET, {"value": value})
        assert isinstance(verdict, Accepted)
        assert json.loads(verdict.body)["value"] == value

    @pytest.mark.parametrize(
        "value",
        [
            "hunter2-hunter2", SHOP.key, "file:hunter2-hunter2", "file:/a\nhunter2-hunter2",
            "env:hunter2-hunter2", "env:FENGLING_HUNTER2", "aes256gcm:k:hunter2-hunter2",
            "aes256gcm:k:" + "A" * 35, "aes256gcm::" + "A" * 40, "aes128gcm:k:" + "A" * 40,
            {"hunter2-hunter2": 1}, ["hunter2-hunter2"], 4242424242, None, "", "x" * 44_001,
        ],
    )  # fmt: skip
    def test_plain_text_is_refused_and_not_repeated(self, value: Any) -> None:
        """A problem goes into logs, status and other nodes' status."""
        verdict = validate(SECRET, {"value": value})
        assert isinstance(verdict, Rejected)
        told = " ".join(map(str, verdict.problems))
        assert "hunter2" not in told
        assert "4242" not in told
        assert "MC4C" not in told  # how a private key of Ed25519 begins


class ReferenceTests:
    def test_what_refers_to_a_missing_secret_waits_for_it(self) -> None:
        """The service for the certificate, and that for its key."""
        service = Key("service", "orders")
        rows: dict[Key, Any] = {
            service: {"tls": {"client_certificate": "shop"}},
            CERTIFICATE: {"chain": SHOP.chain, "key_secret": "shop-key"},
        }
        config = EffectiveConfig()
        assert commit(config, rows, full=True) == {service, CERTIFICATE}
        assert [str(one) for one in config.rejected[CERTIFICATE].problems] == [
            "certificate shop: refers to secret shop-key, which is not in effect"
        ]
        assert commit(config, {SECRET: {"value": "env:KEY"}}, full=False) == set()
        assert set(config.bodies) == {service, CERTIFICATE, SECRET}

    def test_kinds_are_sent_by_numbers_that_stay(self) -> None:
        """A supervisor may be newer than its workers, and a file newer than who reads it."""
        assert NUMBERED_KINDS[:6] == (
            "setting", "tenant", "service", "instance", "instance_health", "route",
        )  # fmt: skip
        assert sorted(NUMBERED_KINDS) == sorted(KINDS)
        changes = [Change(Key(kind, "x"), kind.encode()) for kind in KINDS]
        assert [one for part in encode_changes(changes) for one in decode_changes(part)] == changes


def commit(config: EffectiveConfig, rows: dict[Key, Any], *, full: bool) -> set[Key]:
    """Make rows effective, without any history; return what is rejected then."""
    stage = config.stage(rows.items(), full=full)
    while stage.step() or stage.wanted:
        if stage.wanted:
            stage.supply({})
    stage.commit()
    return set(config.rejected)


class NameTests:
    def test_smallest_id_has_a_name(self) -> None:
        """Whichever was made first, and wherever it stands; disabled ones don't count."""
        bodies = [
            {"id": "c", "enabled": True, "names": ["x.example", "z.example"]},
            {"id": "b", "enabled": True, "names": ["x.example", "y.example"]},
            {"id": "a", "enabled": False, "names": ["x.example"]},
        ]
        assert names_taken(bodies) == {
            "x.example": ["b", "c"],
            "y.example": ["b"],
            "z.example": ["c"],
        }
        assert names_taken(reversed(bodies)) == names_taken(bodies)
