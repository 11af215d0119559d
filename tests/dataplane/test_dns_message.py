"""Questions and answers of DNS."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from fengling_gateway.dataplane.dns_message import (
    AAAA,
    A,
    Truncated,
    question,
    read_answer,
)
from fengling_gateway.dataplane.dns_outcome import Found, Missing, Outcome, Unknown, together


def record(name: str, payload: Any, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, payload.TYPE, dns.IN, ttl, payload)


def answer(
    *records: dns.RRHeader,
    name: str = "orders.example",
    kind: int = A,
    number: int = 7,
    authority: tuple[dns.RRHeader, ...] = (),
    **given: Any,
) -> bytes:
    message = dns.Message(number, **{"answer": 1, "maxSize": 0, **given})
    message.queries = [dns.Query(name, kind)]
    message.answers = list(records)
    message.authority = list(authority)
    return message.toStr()


def read(data: bytes, kind: int = A) -> Any:
    return read_answer(data, 7, "orders.example", kind)


SOA = dns.Record_SOA("ns.example", "admin.example", minimum=30)


class AnswerTests:
    def test_question_is_recursive(self) -> None:
        """For the name, and one kind of addresses."""
        message = dns.Message()
        message.fromStr(question(7, "orders.example", AAAA))
        assert (message.id, message.answer, message.recDes) == (7, 0, 1)
        assert message.queries == [dns.Query("orders.example", AAAA)]

    def test_addresses_are_found(self) -> None:
        """With the shortest of their TTLs, each once."""
        one, two = dns.Record_A("10.0.0.1"), dns.Record_A("10.0.0.2")
        data = answer(
            record("Orders.Example", one, 60),
            record("orders.example", two, 20),
            record("orders.example", one),
            record("others.example", dns.Record_A("10.0.0.3")),
        )
        assert read(data) == Found(("10.0.0.1", "10.0.0.2"), 20.0)

    def test_ipv6_addresses_are_found(self) -> None:
        """In their usual form."""
        data = answer(record("orders.example", dns.Record_AAAA("fd00::0:1")), kind=AAAA)
        assert read(data, AAAA) == Found(("fd00::1",), 60.0)

    def test_aliases_are_followed(self) -> None:
        """In any order; their TTLs count, too."""
        data = answer(
            record("b.example", dns.Record_A("10.0.0.1"), 60),
            record("a.example", dns.Record_CNAME("B.example"), 50),
            record("orders.example", dns.Record_CNAME("a.example"), 10),
        )
        assert read(data) == Found(("10.0.0.1",), 10.0)

    def test_aliases_in_a_circle_lead_nowhere(self) -> None:
        """And end."""
        data = answer(
            record("orders.example", dns.Record_CNAME("a.example")),
            record("a.example", dns.Record_CNAME("orders.example")),
        )
        assert read(data) == Missing(0.0)

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (answer(rCode=dns.ENAME), Missing(0.0, exists=False)),
            (
                answer(rCode=dns.ENAME, authority=(record("example", SOA, 300),)),
                Missing(30.0, exists=False),
            ),
            (answer(authority=(record("example", SOA, 20),)), Missing(20.0)),
            (answer(), Missing(0.0)),
            (answer(rCode=dns.ESERVER), Unknown("the DNS server answers SERVFAIL")),
            (answer(rCode=dns.EREFUSED), Unknown("the DNS server answers REFUSED")),
            (answer(rCode=9), Unknown("the DNS server answers error 9")),
            (answer(trunc=1), Truncated()),
        ],
    )
    def test_other_answers_are_told_apart(self, data: bytes, expected: Any) -> None:
        """Nothing there is something else than nobody knows."""
        assert read(data) == expected

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\0" * 12,
            answer(number=8),
            answer(answer=0),
            answer(name="others.example"),
            answer(kind=AAAA),
            answer(kind=A)[:-1] + b"\3",  # of another class
            b"\0\7\x80" + b"\0" * 9,  # without a question
            answer(record("orders.example", dns.Record_A("10.0.0.1")))[:-1],
        ],
    )
    def test_what_is_no_answer_to_the_question_is_none(self, data: bytes) -> None:
        """Whoever sent it; the right one may come yet."""
        assert read(data) is None

    @given(st.binary(max_size=80))
    def test_noise_is_no_answer(self, data: bytes) -> None:
        """And raises nothing, after a head that fits as well."""
        assert read(data) is None
        head = answer(record("orders.example", dns.Record_A("10.0.0.1")))[:32]
        read(head + data)


FOUND4, FOUND6 = Found(("10.0.0.1",), 60.0), Found(("fd00::1",), 20.0)
NO_NAME, NO_ADDRESS, NOBODY = Missing(5.0, exists=False), Missing(9.0), Unknown("silence")


class TogetherTests:
    @pytest.mark.parametrize(
        ("four", "six", "expected"),
        [
            (FOUND4, FOUND6, Found(("10.0.0.1", "fd00::1"), 20.0)),
            (FOUND4, NO_ADDRESS, FOUND4),
            (FOUND4, NO_NAME, FOUND4),
            (FOUND4, NOBODY, FOUND4._replace(is_whole=False)),
            (NOBODY, FOUND6, FOUND6._replace(is_whole=False)),
            (NO_ADDRESS, FOUND6, FOUND6),
            (NO_ADDRESS, NO_ADDRESS, NO_ADDRESS),
            (NO_NAME, NO_NAME, NO_NAME),
            (NO_NAME, NOBODY, NO_NAME),
            (NO_ADDRESS, NOBODY, NOBODY),
            (NOBODY, NO_ADDRESS, NOBODY),
            (NOBODY, NOBODY, NOBODY),
        ],
    )
    def test_kinds_of_addresses_are_taken_together(
        self, four: Outcome, six: Outcome, expected: Outcome
    ) -> None:
        """Any addresses do; a name is missing only if somebody knows."""
        assert together(four, six) == expected
