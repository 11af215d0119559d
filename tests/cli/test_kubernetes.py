"""``fenglingctl kubernetes``, and what ``doctor`` makes of a console."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway

ROOT = "/api/console/kubernetes"
LIST = ("GET", f"{ROOT}/services")
ORDERS = f"{ROOT}/services/shop/orders"
STATUS = {
    "enabled": True,
    "leader": {
        "term": 3,
        "holder": "c1",
        "since": "2026-11-22T10:00:00.000Z",
        "heartbeat_age_s": 0.4,
        "is_mine": True,
        "problem": None,
    },
    "status": {
        "api_server": {
            "url": "https://10.0.0.1",
            "selector": "managed-by=fengling",
            "problem": None,
        },
        "gateway_api": {"routes": 12, "statuses_waiting": 2, "problem": None},
        "writing": {"waiting": 3, "refused": 0, "withheld": 0, "revisions": 41, "problem": None},
        "telling": None,
        "resources": [
            {"resource": "services", "namespace": None, "state": "watching", "objects": 4}
        ],
    },
    "counts": {"pending": 1, "approved": 2, "rejected": 0, "gone": 0, "problems": 0, "changed": 0},
}


HELD = "revision 9 held: removes 4 of 5 routes; confirm with fenglingctl confirm 9"


def row(**values: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "namespace": "shop",
        "name": "orders",
        "state": "approved",
        "decision": 7,
        "decided_by": "ada",
        "decided_at": "2026-11-22T10:00:00.000Z",
        "comment": None,
        "asked": {},
        "approved": {},
        "seen_at": "2026-11-22T09:00:00.000Z",
        "gone_at": None,
        "offer": {
            "annotations": {"path": "/orders"},
            "instances": {"ready": 3, "drain": 1},
            "problems": [],
        },
        "result": {"decision": 7, "state": "served", "revision": 41, "problems": []},
    }
    return {**usual, **values}


@pytest.fixture
def console(gateway: StubGateway, monkeypatch: pytest.MonkeyPatch) -> StubGateway:
    """Return a stub of a console that watches a cluster, which the environment names."""
    monkeypatch.setenv("FENGLING_CONSOLE", gateway.url)
    monkeypatch.delenv("FENGLING_MANAGEMENT")
    gateway.answers["GET", ROOT] = (200, STATUS)
    gateway.answers[LIST] = (200, {"items": [row()], "next": None, "total": 1})
    gateway.answers["GET", ORDERS] = (200, row())
    for word, state in (("approve", "approved"), ("reject", "rejected")):
        gateway.answers["POST", f"{ORDERS}/{word}"] = (200, row(state=state))
    return gateway


def test_status_is_shown(run: Run, console: StubGateway) -> None:
    """Who watches, what is followed, and how much there is to decide."""
    result = run("kubernetes", "status")
    assert result.exit_code == 0, result.stderr
    assert {"c1", "services", "watching", "pending"} <= set(result.stdout.split())
    assert {"https://10.0.0.1", "managed-by=fengling"} <= set(result.stdout.split())
    assert "12 routes, 2 statuses waiting" in result.stdout
    assert "3 waiting, 0 refused, 0 withheld, 41 revisions" in result.stdout
    assert "!" not in result.stdout
    assert document(run("kubernetes", "status", "-o", "json")) == STATUS


def test_status_is_1_where_something_is_wrong(run: Run, console: StubGateway) -> None:
    """So a script may ask."""
    leader = {**STATUS["leader"], "heartbeat_age_s": 60.0}  # type: ignore[dict-item]
    console.answers["GET", ROOT] = (200, {**STATUS, "leader": leader})
    assert run("kubernetes", "status").exit_code == 1
    console.answers["GET", ROOT] = (200, {**STATUS, "enabled": False, "status": None})
    result = run("kubernetes", "status")
    assert (result.exit_code, "no console watches" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"telling": "no room"}, "what came of a decision: no room"),
        ({"gateway_api": {"problem": "HTTPRoute shop/web: 403"}}, "HTTPRoute shop/web: 403"),
        ({"writing": {"refused": 2}}, "2 entities can't be written"),
        ({"writing": {"waiting": 90_000}}, "90000 entities wait"),
        ({"api_server": {"url": "u", "problem": "401: expired"}}, "401: expired"),
        ({"writing": {"problem": HELD, "held": HELD}}, f"and not served: {HELD}"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_cure(
    run: Run, console: StubGateway, part: dict[str, Any], said: str
) -> None:
    """Below the tables; nothing else is."""
    status: Any = STATUS["status"]
    console.answers["GET", ROOT] = (200, {**STATUS, "status": {**status, **part}})
    result = run("kubernetes", "status")
    assert result.exit_code == 1
    wrong, cure = result.stdout.splitlines()[-2:]
    assert wrong.startswith("  ! ")
    assert said in wrong
    assert cure.startswith("    → ")
    assert result.stdout.count("  ! ") == 1


def test_list_has_all_pages(run: Run, console: StubGateway) -> None:
    """Of what is looked for, with what is wrong with each."""
    ailing = row(name="stock", state="pending", result=None, offer={"problems": ["no port", "x"]})
    console.answers[LIST] = [
        (200, {"items": [row()], "next": "shop/orders"}),
        (200, {"items": [ailing], "next": None}),
    ]
    result = run("kubernetes", "list", "--state", "pending", "--namespace", "shop")
    first, second = result.stdout.splitlines()[2:]
    assert {"shop/orders", "approved", "ada", "3", "served"} <= set(first.split())
    assert "no port (and 1 more)" in second
    assert "state=pending&namespace=shop" in console.asked[0][1]
    assert "after=shop%2Forders" in console.asked[1][1]
    console.answers[LIST] = (200, {"items": [], "next": None})
    assert run("kubernetes", "list").stdout == "no service asks to be routed to\n"
    assert document(run("kubernetes", "list", "-o", "json")) == []


def test_what_has_changed_since_is_said(run: Run, console: StubGateway) -> None:
    """What was approved stays in effect until somebody approves what is offered now."""
    result = {"decision": 7, "state": "served", "problems": [], "asks_for_more": True}
    changed = row(result=result, approved={"path": "/old"})
    console.answers[LIST] = (200, {"items": [changed], "next": None})
    console.answers["GET", ORDERS] = (200, changed)
    shown = run("kubernetes", "list").stdout
    assert "served; it offers something else by now: approve it again" in shown
    assert "/old" in run("kubernetes", "show", "shop/orders").stdout


def test_one_is_shown(run: Run, console: StubGateway) -> None:
    """With its problems, each once."""
    result = {"decision": 7, "state": "refused", "problems": ["host taken"]}
    console.answers["GET", ORDERS] = (
        200,
        row(offer={"problems": ["host taken"]}, result=result, comment="\x1b[31m"),
    )
    shown = run("kubernetes", "show", "shop/orders").stdout
    assert shown.count("host taken") == 1
    assert r"\x1b[31m" in shown
    assert document(run("kubernetes", "show", "shop/orders", "-o", "json"))["name"] == "orders"


def test_approval_says_what_came_of_it(run: Run, console: StubGateway) -> None:
    """It waits for that."""
    result = run(
        *("kubernetes", "approve", "shop/orders", "-m", "fine", "--host", "a.example"),
        *("--path", "/o/{**rest}", "--tenant", "acme"),
    )
    assert (result.exit_code, result.stdout) == (
        *(0, "shop/orders is approved, served since revision 41\n"),
    )
    [_, (_, path, body)] = console.asked
    assert path == f"{ORDERS}/approve?wait=result&timeout=10s"
    assert body == {
        "annotations": {"path": "/orders"},
        "hosts": ["a.example"],
        "path": "/o/{**rest}",
        "tenant_id": "acme",
        "comment": "fine",
    }


BEFORE = {"hosts": ["a.example", "b.example"], "path": "/o", "tenant_id": "acme"}


def approving(console: StubGateway, asked: dict[str, Any], run: Run, *options: str) -> Any:
    """Approve what was approved with something before; return what is said, and sent."""
    console.answers["GET", ORDERS] = (200, row(asked=asked))
    result = run("kubernetes", "approve", "shop/orders", *options)
    assert result.exit_code == 0, result.stderr
    return result.stderr.strip(), console.asked[-1][2]


def test_what_was_given_before_stays(run: Run, console: StubGateway) -> None:
    """As far as nothing else is given; and it is said."""
    said, sent = approving(console, BEFORE, run)
    assert sent == {**BEFORE, "annotations": {"path": "/orders"}}
    assert said == (
        "shop/orders asks for path: /orders; with hosts a.example, b.example as before, "
        "path /o as before, tenant acme as before"
    )
    said, sent = approving(console, BEFORE, run, "--path", "/new", "--host", "c.example")
    assert (sent["hosts"], sent["path"]) == (["c.example"], "/new")
    assert said.endswith("; with hosts c.example, path /new, tenant acme as before")


def test_what_was_given_before_is_dropped(run: Run, console: StubGateway) -> None:
    """By an option; what is given with it counts."""
    said, sent = approving(console, BEFORE, run, "--as-offered", "--tenant", "other")
    assert sent == {"tenant_id": "other", "annotations": {"path": "/orders"}}
    assert said == "shop/orders asks for path: /orders; with tenant other"
    said, sent = approving(console, BEFORE, run, "--as-offered")
    assert (said, sent) == (
        *("shop/orders asks for path: /orders", {"annotations": {"path": "/orders"}}),
    )


def test_any_host_and_no_tenant_are_given(run: Run, console: StubGateway) -> None:
    """In place of what was given before; and stay, at another approval."""
    anybody = {"hosts": [], "path": "/o", "tenant_id": None}
    said, sent = approving(console, BEFORE, run, "--any-host", "--no-tenant")
    assert sent == {**anybody, "annotations": {"path": "/orders"}}
    assert said.endswith("; with any host, path /o as before, no tenant")
    said, sent = approving(console, anybody, run)
    assert sent == {**anybody, "annotations": {"path": "/orders"}}
    assert said.endswith("; with any host as before, path /o as before, no tenant as before")
    said, sent = approving(console, anybody, run, "--host", "a.example", "--tenant", "acme")
    assert (sent["hosts"], sent["tenant_id"]) == (["a.example"], "acme")


def test_each_is_approved_as_it_was_shown(run: Run, console: StubGateway) -> None:
    """Nothing of one is sent with the next; of what has no annotations, that it has none."""
    stock = row(name="stock", offer={"annotations": {}})
    console.answers["GET", f"{ROOT}/services/shop/stock"] = (200, stock)
    console.answers["POST", f"{ROOT}/services/shop/stock/approve"] = (200, stock)
    console.answers["GET", ORDERS] = (200, row(asked=BEFORE))
    assert run("kubernetes", "approve", "shop/orders", "shop/stock").exit_code == 0
    assert [body for method, _, body in console.asked if method == "POST"] == [
        {**BEFORE, "annotations": {"path": "/orders"}},
        {"annotations": {}},
    ]


def test_what_asks_for_something_else_by_now_is_not_approved(
    run: Run, console: StubGateway
) -> None:
    """The console compares it with what was shown."""
    refusal = "shop/orders asks for something else by now than what was shown: look again"
    console.answers["POST", f"{ORDERS}/approve"] = (409, {"detail": refusal})
    result = run("kubernetes", "approve", "shop/orders")
    assert (result.exit_code, result.stdout, refusal in result.stderr) == (2, "", True)


def test_refused_approval_is_status_1(run: Run, console: StubGateway) -> None:
    """With why; of others it is said what came of them."""
    refused = {"decision": 8, "state": "refused", "revision": None, "problems": ["host taken"]}
    console.answers["POST", f"{ORDERS}/approve"] = [(200, row(result=refused)), (200, row())]
    result = run("kubernetes", "approve", "shop/orders", "shop/orders")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "shop/orders is approved, refused: host taken",
            "shop/orders is approved, served since revision 41",
        ],
    )


def test_decision_that_nobody_hears_of_is_status_1(run: Run, console: StubGateway) -> None:
    """It stands, and will be heard of; whoever doesn't wait isn't told."""
    console.answers["POST", f"{ORDERS}/approve"] = (200, row(result=None))
    result = run("kubernetes", "approve", "shop/orders")
    assert (result.exit_code, "nothing has come of it" in result.stdout) == (1, True)
    result = run("kubernetes", "approve", "shop/orders", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "shop/orders is approved\n")
    gone = row(result=None, gone_at="2026-11-22T10:00:00.000Z")
    console.answers["POST", f"{ORDERS}/approve"] = (200, gone)
    assert run("kubernetes", "approve", "shop/orders").exit_code == 0


def test_rejection_is_told(run: Run, console: StubGateway) -> None:
    """With what became of what was served."""
    removed = {"decision": 7, "state": "removed", "revision": 42, "problems": []}
    console.answers["POST", f"{ORDERS}/reject"] = (200, row(state="rejected", result=removed))
    result = run("kubernetes", "reject", "shop/orders", "-m", "too old")
    assert (result.exit_code, result.stdout) == (
        *(0, "shop/orders is rejected, removed since revision 42\n"),
    )
    assert console.asked[0][2] == {"comment": "too old"}


def test_what_is_rejected_or_waits_has_no_problems_of_before(
    run: Run, console: StubGateway
) -> None:
    """Nor anything else that came of another decision."""
    refused = {"decision": 6, "state": "refused", "revision": 41, "problems": ["host taken"]}
    removed = {"decision": 7, "state": "removed", "revision": None, "problems": ["host taken"]}
    console.answers["POST", f"{ORDERS}/reject"] = [
        (200, row(state="rejected", result=removed)),
        (200, row(state="rejected", result=refused)),
    ]
    result = run("kubernetes", "reject", "shop/orders")
    assert (result.exit_code, result.stdout) == (0, "shop/orders is rejected\n")
    assert "host taken" not in run("kubernetes", "reject", "shop/orders").stdout
    states = ("rejected", "pending", "approved")
    rows = [row(state=state, result=refused) for state in states]
    console.answers[LIST] = (200, {"items": rows, "next": None})
    listed = run("kubernetes", "list").stdout.splitlines()[2:]
    assert [line.split()[-1] for line in listed] == ["way", "–", "way"]
    console.answers["GET", ORDERS] = (200, row(state="pending", result=refused))
    shown = run("kubernetes", "show", "shop/orders").stdout
    assert "host taken" not in shown
    assert "refused" not in shown


def test_decision_is_taken_back(run: Run, console: StubGateway) -> None:
    """What is gone is forgotten."""
    console.answers["DELETE", ORDERS] = [(200, row(state="pending")), (204, b"")]
    assert run("kubernetes", "forget", "shop/orders").stdout == (
        "shop/orders waits for a decision\n"
    )
    assert run("kubernetes", "forget", "shop/orders").stdout == "shop/orders is forgotten\n"


@pytest.mark.parametrize(
    "words",
    [
        ("approve",),
        ("approve", "orders"),
        ("approve", "shop/orders", "orders"),
        ("approve", "shop/orders", "--any-host", "--host", "a.example"),
        ("approve", "shop/orders", "--no-tenant", "--tenant", "acme"),
        ("reject", "a/b/c"),
        ("forget", "/orders"),
        ("show", "shop/"),
        ("list", "--state", "maybe"),
    ],
    ids=" ".join,
)
def test_odd_arguments_are_status_2(run: Run, console: StubGateway, words: tuple[str, ...]) -> None:
    """And nothing is asked."""
    result = run("kubernetes", *words)
    assert (result.exit_code, console.asked) == (2, [])


def test_refusal_is_one_line(run: Run, console: StubGateway) -> None:
    """In the console's words; before it, what would have been approved."""
    console.answers["POST", f"{ORDERS}/approve"] = (403, {"detail": "this needs the scope x"})
    result = run("kubernetes", "approve", "shop/orders")
    shown, refusal = result.stderr.splitlines()
    assert (result.exit_code, shown) == (2, "shop/orders asks for path: /orders")
    assert "this needs the scope x" in refusal


def test_doctor_looks_at_a_console_that_is_named(run: Run, console: StubGateway) -> None:
    """Here a service has waited since this morning."""
    console.answers[LIST] = (200, {"items": [row(state="pending")], "next": None})
    found = {one["about"]: one for one in document(run("doctor", "-o", "json"))["findings"]}
    assert found["console.reach"]["state"] == found["kubernetes.leader"]["state"] == "ok"
    console.answers[LIST] = (200, {"items": [], "next": None})
    console.answers["GET", ROOT] = (503, {"title": "no database"})
    found = {one["about"]: one for one in document(run("doctor", "-o", "json"))["findings"]}
    assert found["console.reach"]["state"] == "wrong"
    assert found.keys() == {"console.reach", "host.descriptors"}


REMOVAL = {"id": "3f9a", "routes": 22, "of": 30, "names": ["shop.a", "shop.b"]}


def kept(**removal: Any) -> dict[str, Any]:
    return {**STATUS, "status": {**STATUS["status"], "writing": {"removal": removal or None}}}


def test_what_is_kept_is_named(run: Run, console: StubGateway) -> None:
    """With what lets it go; it is nothing to be at rest about."""
    console.answers["GET", ROOT] = (200, kept(**REMOVAL))
    result = run("kubernetes", "status")
    assert result.exit_code == 1
    assert (
        "22 of 30 routes are no longer in the cluster, and are kept: shop.a, shop.b and 20 more"
        " (Services: fenglingctl kubernetes list --state gone); if"
    ) in result.stdout
    assert result.stdout.splitlines()[-1].endswith("fenglingctl kubernetes confirm 3f9a")
    named = run("kubernetes", "status", "--console", console.url).stdout
    assert f"fenglingctl kubernetes confirm 3f9a --console {console.url}" in named


def test_what_is_kept_is_confirmed(run: Run, console: StubGateway) -> None:
    """And said to be gone when it is; status 1 while it is not, or nobody knows."""

    def confirmed(state: str, **removal: Any) -> tuple[int, str]:
        became = {"id": "77aa", "state": state}
        console.answers["POST", f"{ROOT}/confirm"] = (200, {**kept(**removal), "confirmed": became})
        result = run("kubernetes", "confirm", "77aa")
        return result.exit_code, result.stdout

    assert confirmed("gone") == (0, "77aa is confirmed, and its routes are gone\n")
    status, said = confirmed("gone", **REMOVAL)
    assert (status, "22 other routes wait to be confirmed as 3f9a" in said) == (0, True)
    status, said = confirmed("waiting")
    assert (status, "its routes are still there" in said) == (1, True)
    status, said = confirmed("unknown")
    assert (status, "something else waits by now" in said) == (1, True)
