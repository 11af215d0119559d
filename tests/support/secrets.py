"""URLs with a password in them, most of them malformed: what no message may repeat."""

from __future__ import annotations

from hypothesis import strategies as st

CANARY = "hunter2hunter2"
NUMERIC = "48151"
"""A password that could be a port."""

MARKS = (CANARY, NUMERIC)

_pieces = st.sampled_from(
    [CANARY, NUMERIC, CANARY[:7], *"/@#?%:=&[]' \\", "%zz", "%40", "://", "é"]
)

passwords = st.builds(
    lambda first, rest: first + "".join(rest),
    st.sampled_from(MARKS),
    st.lists(_pieces, max_size=5),
)
"""With every character that means something in a URL, and the mark at least once."""

_ends = st.sampled_from(
    [
        "",
        ":1",
        ":99999",
        ":x",
        ":0",
        ":1/db",
        ":1/0",
        ":1/x",
        ":1/0?bogus=1",
        ":1/%",
        "/",
        "?a",
        "#",
    ]
)


def urls(*schemes: str) -> st.SearchStrategy[str]:
    """
    URLs with such a password, for 127.0.0.1 whatever is taken for the host.

    (A user of that name keeps a misread URL from asking a name server.)
    """
    return st.builds(
        "{}{}{}:{}@127.0.0.1{}".format,
        st.sampled_from([*schemes, *(one.upper() for one in schemes), "mysql", ""]),
        st.sampled_from(["://", "://", "://", ":", "//", " ://"]),
        st.sampled_from(["127.0.0.1", ""]),
        passwords,
        _ends,
    )


dsns = st.one_of(
    urls("postgresql", "postgres"),
    st.builds(
        "host=127.0.0.1 port=1 user=u {} {}".format,
        st.builds("password={}".format, passwords),
        st.sampled_from(["", "dbname=d", "bogus=1", "port=x", "=", "'"]),
    ),
)

redis_urls = st.one_of(urls("redis", "rediss", "valkey", "unix"), passwords)


def leaked(text: str) -> list[str]:
    """Return the marks that some text holds."""
    return [mark for mark in (*MARKS, CANARY[:7]) if mark in text]
