"""The pretended API server does as the real one does, where that matters to who follows it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from fengling_gateway.kubernetes.resources import (
    ENDPOINT_SLICES,
    GATEWAYS,
    HTTP_ROUTES,
    NAMESPACES,
    REFERENCE_GRANTS,
    SECRETS,
    SERVICES,
    Resource,
)
from tests.support.kubernetes_access import CONSOLE
from tests.support.kubernetes_api import KubernetesApi
from tests.support.kubernetes_objects import namespace, service, slice_
from tests.support.kubernetes_store import MissingError

HTTP_ROUTE: dict[str, Any] = {
    "apiVersion": HTTP_ROUTES.api_version,
    "kind": "HTTPRoute",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {"hostnames": ["shop.example"]},
}


@pytest.fixture
def api(kubernetes_api: KubernetesApi) -> KubernetesApi:
    return kubernetes_api


@contextmanager
def opened(api: KubernetesApi, path: str, body: Any = None, token: str = "") -> Iterator[Any]:
    request = urllib.request.Request(
        api.url + path,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {token or api.token}"},
        method="GET" if body is None else "PUT",
    )
    context = ssl.create_default_context(cadata=api.authority.pem.decode())
    try:
        with urllib.request.urlopen(request, context=context, timeout=15) as answer:
            yield answer
    except urllib.error.HTTPError as answer:
        with answer:
            yield answer


def asked(api: KubernetesApi, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    with opened(api, path, body, token) as answer:
        content = answer.read()
        is_json = answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(content) if is_json else content.decode()


def listed(api: KubernetesApi, resource: Resource, **query: str) -> tuple[int, Any]:
    return asked(api, f"{resource.path()}?{urlencode(query)}")


@contextmanager
def watched(api: KubernetesApi, resource: Resource, **query: str) -> Iterator[Any]:
    """Return a function that reads the next event."""
    with opened(api, f"{resource.path()}?{urlencode({'watch': 'true', **query})}") as answer:
        yield lambda: json.loads(answer.readline() or b"null")


def summary(event: Any) -> tuple[str, str, str]:
    metadata = event["object"]["metadata"]
    return event["type"], metadata.get("name", ""), metadata["resourceVersion"]


class ObjectTests:
    """Objects"""

    def test_objects_are_completed(self, api: KubernetesApi) -> None:
        """As an API server does it, and the same each time."""
        made = api.apply(HTTP_ROUTE)
        assert made["metadata"]["generation"] == 1
        assert made["metadata"]["uid"]
        changed = api.apply({**HTTP_ROUTE, "spec": {}})
        for key in ("uid", "creationTimestamp"):
            assert changed["metadata"][key] == made["metadata"][key]
        assert changed["metadata"]["generation"] == 2
        assert api.apply(namespace("shop"))["metadata"]["labels"] == {
            "kubernetes.io/metadata.name": "shop"
        }
        with pytest.raises(MissingError):
            api.get(SERVICES, "shop", "nobody")

    def test_what_stays_as_it_was_is_no_change(self, api: KubernetesApi) -> None:
        """Its version stays, too."""
        assert api.apply(service()) == api.apply(service())

    def test_status_is_put_by_itself(self, api: KubernetesApi) -> None:
        """It changes neither the rest nor the generation, and only of the newest version."""
        made = api.apply(HTTP_ROUTE)
        path = HTTP_ROUTES.path("shop", "orders", "status")
        status, put = asked(api, path, {**made, "spec": {}, "status": {"parents": []}})
        assert (status, put["spec"], put["status"]) == (200, made["spec"], {"parents": []})
        assert put["metadata"]["generation"] == 1
        assert put["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        status, refusal = asked(api, path, made)
        assert (status, refusal["reason"]) == (409, "Conflict")
        assert "the object has been modified" in refusal["message"]
        assert api.apply(HTTP_ROUTE)["status"] == {"parents": []}, "applying leaves it alone"
        path = HTTP_ROUTES.path("shop", "nobody", "status")
        made["metadata"]["name"] = "nobody"
        assert asked(api, path, made)[0] == 404
        assert asked(api, HTTP_ROUTES.path("shop", "orders", "status"), made)[0] == 400


class ListTests:
    """Lists"""

    def test_resource_is_the_same_in_each_of_its_versions(self, api: KubernetesApi) -> None:
        """As long as that is served."""
        newer, older = REFERENCE_GRANTS.versions
        meta = {"name": "any", "namespace": "shop"}
        for version in (newer, older):
            api.apply(
                {"apiVersion": version.api_version, "kind": "ReferenceGrant", "metadata": meta}
            )
            for one in (newer, older):
                status, page = listed(api, one)
                assert (status, page["apiVersion"]) == (200, one.api_version)
                assert [item["metadata"]["name"] for item in page["items"]] == ["any"]
        api.uninstall(newer)
        assert [listed(api, one)[0] for one in (newer, older)] == [404, 200]
        api.install(newer)
        api.uninstall(older)
        assert [listed(api, one)[0] for one in (newer, older)] == [200, 404]
        assert [one.version for one in api.asked("list", REFERENCE_GRANTS)][-2:] == [
            "v1",
            "v1beta1",
        ]

    def test_items_of_lists_are_as_they_are(self, api: KubernetesApi) -> None:
        """Those of the API server's own kinds don't name their kind; others do."""
        api.apply(service(), slice_(), HTTP_ROUTE)
        for resource, is_named in (
            (SERVICES, False),
            (ENDPOINT_SLICES, False),
            (HTTP_ROUTES, True),
        ):
            status, page = listed(api, resource)
            assert (status, page["kind"]) == (200, f"{resource.kind}List")
            assert ("kind" in page["items"][0]) is is_named
            assert page["items"][0].get("apiVersion", "") == (
                resource.api_version if is_named else ""
            )

    def test_pages_are_of_one_version(self, api: KubernetesApi) -> None:
        """Whatever happens between them; compaction ends them."""
        api.apply(*(service(name) for name in "abcde"))
        page = listed(api, SERVICES, limit="2")[1]
        assert page["metadata"]["remainingItemCount"] == 3
        version = page["metadata"]["resourceVersion"]
        api.delete(SERVICES, "shop", "c")
        page = listed(api, SERVICES, limit="2", **{"continue": page["metadata"]["continue"]})[1]
        assert [one["metadata"]["name"] for one in page["items"]] == ["c", "d"]
        assert page["metadata"]["resourceVersion"] == version
        api.compact()
        status, refusal = listed(api, SERVICES, **{"continue": page["metadata"]["continue"]})
        assert (status, refusal["reason"]) == (410, "Expired")

    @pytest.mark.parametrize(
        ("selector", "names"),
        [
            ("app=a", "a"),
            ("app==a,tier=x", "a"),
            ("app!=a", "bc"),
            ("tier", "ab"),
            ("!tier", "c"),
            ("app in (a, b)", "ab"),
            ("app notin (a,b),app", "c"),
        ],
    )
    def test_labels_select(self, api: KubernetesApi, selector: str, names: str) -> None:
        """As they do in the API; how many remain is not told then."""
        for name, tier in (("a", {"tier": "x"}), ("b", {"tier": "y"}), ("c", {})):
            api.apply(service(name, labels={"app": name, **tier}))
        page = listed(api, SERVICES, labelSelector=selector, limit="1")[1]
        assert "remainingItemCount" not in page["metadata"]
        page = listed(api, SERVICES, labelSelector=selector)[1]
        assert "".join(one["metadata"]["name"] for one in page["items"]) == names

    def test_fields_select(self, api: KubernetesApi) -> None:
        """One by its name; what can't be read is refused."""
        api.apply(service("a"), service("b"))
        page = listed(api, SERVICES, fieldSelector="metadata.name=b")[1]
        assert [one["metadata"]["name"] for one in page["items"]] == ["b"]
        assert listed(api, SERVICES, fieldSelector="spec.type=x")[0] == 400
        assert listed(api, SERVICES, labelSelector="a b")[0] == 400


class WatchTests:
    """Watches"""

    def test_changes_are_told_in_order(self, api: KubernetesApi) -> None:
        """From a version on, each with the version that it has made."""
        api.apply(service("a"))
        start = api.store.version
        with watched(api, SERVICES, resourceVersion=str(start)) as heard:
            api.apply(service("a", ports=[81]), service("b"))
            api.delete(SERVICES, "shop", "a")
            assert summary(heard()) == ("MODIFIED", "a", str(start + 1))
            assert summary(heard()) == ("ADDED", "b", str(start + 2))
            event = heard()
            assert summary(event) == ("DELETED", "a", str(start + 3))
            assert event["object"]["spec"]["ports"][0]["port"] == 81, "its last state"
            assert event["object"]["kind"] == "Service"

    def test_what_is_selected_comes_and_goes(self, api: KubernetesApi) -> None:
        """By its labels, though it is there all the time."""
        query = {"resourceVersion": str(api.store.version), "labelSelector": "managed-by=fengling"}
        with watched(api, SERVICES, **query) as heard:
            for labels in ({}, {"managed-by": "fengling"}, {"other": "x"}):
                api.apply(service("a", labels=labels))
            added, deleted = heard(), heard()
            assert [summary(one)[0] for one in (added, deleted)] == ["ADDED", "DELETED"]
            assert deleted["object"]["metadata"]["labels"] == {"managed-by": "fengling"}

    def test_watch_without_a_version_begins_with_what_there_is(self, api: KubernetesApi) -> None:
        """And one of a namespace with what is in it."""
        api.apply(service("a"), service("b", namespace="other"))
        path = SERVICES.path("shop") + "?watch=1&timeoutSeconds=1"
        with opened(api, path) as answer:
            events = [json.loads(line) for line in answer]
        assert [summary(one)[:2] for one in events] == [("ADDED", "a")]

    def test_versions_that_are_forgotten_are_refused_in_the_stream(
        self, api: KubernetesApi
    ) -> None:
        """With 200 and an event, as the real one does it; by compaction, or by many changes."""
        api.store.window = 2
        api.apply(*(service(name) for name in "abcd"))
        for version in (api.store.version - 3, 1):
            with watched(api, SERVICES, resourceVersion=str(version)) as heard:
                event = heard()
                assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
                assert event["object"]["reason"] == "Expired"
                assert heard() is None
        version = api.store.version
        api.compact()
        with watched(api, ENDPOINT_SLICES, resourceVersion=str(version)) as heard:
            assert heard()["type"] == "ERROR"

    def test_watch_ends_with_a_bookmark(self, api: KubernetesApi) -> None:
        """When its time is up, if it wants any; others have them in between, too."""
        version = str(api.store.version)
        query = {"resourceVersion": version, "timeoutSeconds": "1"}
        with watched(api, SERVICES, allowWatchBookmarks="true", **query) as heard:
            assert summary(heard()) == ("BOOKMARK", "", version)
            assert heard() is None
        with watched(api, SERVICES, **query) as heard:
            assert heard() is None

    def test_versions_that_are_yet_to_come_are_silent(self, api: KubernetesApi) -> None:
        """As they are after a cluster was restored: neither an event nor a bookmark."""
        version = str(api.store.version + 1000)
        query = {"resourceVersion": version, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
        with watched(api, SERVICES, **query) as heard:
            api.apply(service())
            assert heard() is None


class AccessTests:
    """Who may do what"""

    def test_unknown_tokens_are_refused(self, api: KubernetesApi) -> None:
        """And those that have expired."""
        expired = api.access.new_token(seconds=0)
        for token in ("nobody", expired):
            status, refusal = asked(api, SERVICES.path(), token=token)
            assert (status, refusal["reason"]) == (401, "Unauthorized")

    def test_rights_are_those_of_roles(self, api: KubernetesApi) -> None:
        """By verb, resource and namespace."""
        api.access.unbind()
        rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}
        api.access.bind([rule], namespace="shop")
        assert asked(api, SERVICES.path("shop"))[0] == 200
        for path in (SERVICES.path(), SERVICES.path("other"), SECRETS.path("shop")):
            assert asked(api, path)[0] == 403
        message = asked(api, SERVICES.path("shop") + "?watch=true")[1]["message"]
        assert message == (
            f'services is forbidden: User "{CONSOLE}" cannot watch resource "services" '
            'in API group "" in the namespace "shop"'
        )

    def test_status_is_a_right_of_its_own(self, api: KubernetesApi) -> None:
        """As a part of the resource."""
        made = api.apply(HTTP_ROUTE)
        api.access.unbind()
        rule = {"apiGroups": ["*"], "resources": ["httproutes/status"], "verbs": ["update"]}
        api.access.bind([rule])
        assert asked(api, HTTP_ROUTES.path("shop", "orders", "status"), made)[0] == 200
        status, refusal = asked(api, HTTP_ROUTES.path("shop", "orders"), made)
        assert status == 403
        assert 'cannot update resource "httproutes" in API group' in refusal["message"]

    def test_resources_that_there_are_not_are_plain_404(self, api: KubernetesApi) -> None:
        """Of definitions that are not installed, and of paths that nobody knows."""
        api.uninstall(GATEWAYS)
        for path in (GATEWAYS.path(), "/apis/nobody.example/v1/things", "/"):
            assert asked(api, path) == (404, "404 page not found\n")
        assert asked(api, NAMESPACES.path(name="shop"))[1]["reason"] == "NotFound"
        assert [one.status for one in api.log] == [404] * 4
