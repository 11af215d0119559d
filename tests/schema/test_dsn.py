"""DSNs: which are used, and that no error repeats any of them."""

from __future__ import annotations

import traceback

import psycopg2
import pytest
from hypothesis import given, settings

from fengling_gateway.schema.dsn import DsnError, connect, parse, without_secrets
from tests.support.secrets import CANARY, dsns, leaked


class ParseTests:
    @pytest.mark.parametrize(
        ("dsn", "said"),
        [
            ("", {}),
            ("postgresql:///d", {"dbname": "d"}),
            (
                "postgres://u:p%2Fw%40@[::1]:5433/d?connect_timeout=3",
                {
                    "user": "u",
                    "password": "p/w@",
                    "host": "::1",
                    "port": "5433",
                    "dbname": "d",
                    "connect_timeout": "3",
                },
            ),
            ("postgresql://u@a:1,b/d", {"user": "u", "host": "a,b", "port": "1,", "dbname": "d"}),
            ("host=h\npassword='a b'", {"host": "h", "password": "a b"}),
            ("host=h password=a://b", {"host": "h", "password": "a://b"}),
        ],
    )
    def test_what_libpq_reads_is_said(self, dsn: str, said: dict[str, str]) -> None:
        """In both of its forms."""
        assert parse(dsn) == said

    @pytest.mark.parametrize(
        ("dsn", "reason"),
        [
            ("x", "must begin with postgresql://"),
            ("mysql://u:canary@h/d", "must begin with postgresql://"),
            ("POSTGRESQL://u:canary@h/d", "must begin with postgresql://"),
            ("postgresql://u:can%ary@h/d", "is malformed"),
            ("host=h password=can ary", "is malformed"),
            ("host=h password='canary", "is malformed"),
            ("postgresql://u:canary@h/d?bogus=1", "has a parameter"),
            ("garbage=canary", "has a parameter"),
            ("postgresql://u:can@ary@h/d", "has an @ too many"),
            ("postgresql://u:1/canary@h/d", "has an @ too many"),
            ("postgresql://u:1/x?sslmode=canary@h/d", "has an @ too many"),
            ("postgresql://u:p@h:99999/d", "has a port"),
            ("host=h port=0", "has a port"),
            ("host=h port=canary", "has a port"),
            ("dbname=postgresql://u:canary@h", "has a URL within it"),
            ("postgresql://h\0/canary", "has a NUL"),
            ("postgresql://h/\udc80canary", "is not all text"),
        ],
    )
    def test_what_can_not_be_meant_is_refused(self, dsn: str, reason: str) -> None:
        """With the rule, and with nothing of what was given."""
        with pytest.raises(DsnError) as caught:
            parse(dsn)
        assert caught.value.reason.startswith(reason)
        assert "can" not in str(caught.value).replace("can't", "")
        assert caught.value.__context__ is None


class SecretTests:
    @settings(deadline=None)
    @given(dsns)
    def test_no_error_holds_any_of_it(self, dsn: str) -> None:
        """Neither one of ours nor, where the DSN is used after all, one of libpq's."""
        with pytest.raises(psycopg2.Error) as caught:
            connect(dsn, connect_timeout=2)
        assert not leaked("".join(traceback.format_exception(caught.value)))
        assert not leaked(without_secrets(dsn))

    def test_what_may_be_shown_is_shown(self) -> None:
        """For people who have several databases."""
        dsn = f"host=h port=1 dbname=d user=u password={CANARY}"
        assert without_secrets(dsn) == "postgresql://u@h:1/d"
        assert without_secrets("postgresql://h") == "postgresql://h/"
