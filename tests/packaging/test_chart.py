"""What the Helm chart makes of values; the manifests that it makes of none are in test_manifests.py."""

from __future__ import annotations

import copy
import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.settings import load_console_settings, load_settings
from fengling_gateway.settings.console import ConsoleSettings

helm = pytest.importorskip("helm_python", reason="the extra kubernetes of setup.cfg")

CHART = Path(__file__).resolve().parent.parent.parent / "etc" / "kubernetes" / "chart"

VARIANTS: dict[str, dict[str, Any]] = {
    "least": {"console": {"enabled": False}, "migration": {"enabled": False}},
    "most": {
        "image": {"repository": "registry.example/fengling", "digest": f"sha256:{'0a' * 32}"},
        "imagePullSecrets": [{"name": "registry"}],
        "secrets": {
            "gatewayDatabase": {"listenKey": "direct"},
            "redis": {"name": "fengling-redis"},
            "secretKeys": {"name": "fengling-keys"},
            "oidcClientSecret": {"name": "oidc"},
            "tracingHeaders": {"name": "collector"},
        },
        "gateway": {
            "listeners": {
                "https": {"tls": {"secretNames": ["shop-tls"], "settings": {"min_version": "1.3"}}},
                "inside": {"port": 9000, "servicePort": 9000},
            },
            "service": {
                "annotations": {"example/key": "value"},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "ipFamilyPolicy": "PreferDualStack",
            },
            "state": {"persistent": True, "storageClassName": "fast"},
            "autoscaling": {"enabled": True},
            "nodeSelector": {"pool": "edge"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "priorityClassName": "system-cluster-critical",
            "podAnnotations": {"example/key": "value"},
            "extraVolumes": [{"name": "ca", "configMap": {"name": "database-ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/fengling/ca"}],
        },
        "console": {"settings": {"signin": {"external_urls": ["https://console.example"]}}},
        "discovery": {"namespaces": ["shop", "blog"], "gatewayApi": {"enabled": True}},
        "networkPolicy": {"gatewayEgress": [{}], "consoleEgress": [{}]},
        "monitoring": {
            "serviceMonitor": {"enabled": True},
            "rules": {"enabled": True},
            "dashboards": {"enabled": True},
        },
    },
}


@pytest.fixture(scope="module")
def scripts() -> Any:
    """Return what scripts/manifests renders and judges with."""
    folder = str(CHART.parent.parent.parent / "scripts" / "manifests")
    sys.path.insert(0, folder)
    try:
        import charts
        import judging
    finally:
        sys.path.remove(folder)
    return charts, judging


@pytest.fixture(scope="module")
def render(scripts: Any) -> Any:
    """Return a function that gives objects by kind and name."""

    def render(values: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
        rendered = scripts[0].rendered(values).values()
        objects = [one for each in rendered for one in each]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}

    return render


def environment(objects: Any, name: str) -> dict[str, str]:
    """Return the variables of a pod, with secrets themselves in place of their files."""
    [container] = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value", "a-pod") for one in container["env"]}
    return {
        **{name: value for name, value in told.items() if not name.endswith("_FILE")},
        "FENGLING_DATABASE__URL": "postgresql://gateway@db/fengling",
        "FENGLING_MANAGEMENT__TOKEN_KEYS": f"2026-11:{secrets.token_hex(32)}",
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_kubernetes_takes_what_is_rendered(render: Any, scripts: Any, name: str) -> None:
    """The oldest and the newest version whose schemas there are."""
    import yaml

    objects = render(copy.deepcopy(VARIANTS[name])).values()
    assert list(scripts[1].schema_problems(yaml.safe_dump_all(objects))) == []


class ValuesTests:
    @pytest.mark.parametrize(
        ("values", "named"),
        [
            ({"gatewey": {}}, "gatewey"),
            ({"gateway": {"listeners": {"http": {"port": 80}}}}, "listeners/http/port"),
            ({"gateway": {"bindAddress": "127.0.0.1"}}, "bindAddress"),
            ({"gateway": {"settings": {"database": {"url": "postgresql://a:b@db/c"}}}}, "url"),
            ({"gateway": {"settings": {"drain": {"deadline": "60s"}}}}, "drainSeconds"),
            ({"gateway": {"settings": {"listeners": []}}}, "gateway.listeners"),
            ({"console": {"settings": {"management": {"token_keys": ["k:1"]}}}}, "token_keys"),
            (
                {"secrets": {"redis": {"name": "r"}, "syncKeys": {"name": ""}}},
                "messages on Redis are signed",
            ),
        ],
        ids=str,
    )
    def test_values_that_make_no_sense_are_refused(
        self, render: Any, values: dict[str, Any], named: str
    ) -> None:
        """Before anything is changed, and what is wrong is named; keys and passwords among them."""
        with pytest.raises(helm.HelmError, match=named):
            render(values)

    def test_settings_become_variables_that_a_gateway_reads(self, render: Any) -> None:
        """Numbers, words, lists and truth; of any size."""
        settings = {
            "limits": {"max_memory": "2GiB", "max_limit_keys": 2_000_000},
            "tracing": {"sample_ratio": 0.25, "endpoint": "http://collector:4318"},
            "metrics": {"count_requests": False},
            "upstream": {"allow": ["127.0.0.0/8"]},
            "workers": "auto",
        }
        objects = render({"gateway": {"settings": settings}})
        read = load_settings(None, environment(objects, "fengling-gateway"))
        assert (read.limits.max_memory, read.limits.max_limit_keys) == (2 << 30, 2_000_000)
        assert (read.tracing.sample_ratio, read.metrics.count_requests) == (0.25, False)
        assert (read.upstream.allow, read.workers) == (["127.0.0.0/8"], "auto")

    def test_listener_that_is_null_is_none(self, render: Any) -> None:
        """Nor has the Service its port."""
        objects = render({"gateway": {"listeners": {"https": None}}})
        listeners = json.loads(environment(objects, "fengling-gateway")["FENGLING_LISTENERS"])
        assert [one["name"] for one in listeners] == ["http"]
        service = objects["Service", "fengling-gateway"]["spec"]["ports"]
        assert [one["name"] for one in service] == ["http"]

    def test_certificates_of_secrets_are_where_the_listener_looks(self, render: Any) -> None:
        """Each Secret is mounted once."""
        tls = {"secretNames": ["shop-tls", "blog-tls"]}
        objects = render({"gateway": {"listeners": {"https": {"tls": tls}}}})
        listeners = json.loads(environment(objects, "fengling-gateway")["FENGLING_LISTENERS"])
        spec = objects["Deployment", "fengling-gateway"]["spec"]["template"]["spec"]
        mounted = {one["mountPath"]: one["name"] for one in spec["containers"][0]["volumeMounts"]}
        volumes = {one["name"]: one for one in spec["volumes"]}
        for certificate in listeners[1]["tls"]["certificates"]:
            directory, _, file = certificate["chain"].rpartition("/")
            assert file == "tls.crt"
            secret = volumes[mounted[directory]]["secret"]["secretName"]
            assert directory.endswith(f"/{secret}")

    def test_grace_period_follows_the_drain(self, render: Any) -> None:
        """Whoever drains longer need not think of it."""
        termination = {"announceSeconds": 0, "drainSeconds": 600, "marginSeconds": 20}
        objects = render({"gateway": {"termination": termination}})
        spec = objects["Deployment", "fengling-gateway"]["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] == 620
        assert environment(objects, "fengling-gateway")["FENGLING_DRAIN__DEADLINE"] == "600s"
        assert "lifecycle" not in spec["containers"][0]

    def test_persistent_state_is_a_volume_of_each_pod(self, render: Any) -> None:
        """A StatefulSet, which autoscaling then is of, too."""
        values = {"gateway": {"state": {"persistent": True}, "autoscaling": {"enabled": True}}}
        objects = render(values)
        stateful = objects["StatefulSet", "fengling-gateway"]["spec"]
        assert [one["metadata"]["name"] for one in stateful["volumeClaimTemplates"]] == ["state"]
        names = [one["name"] for one in stateful["template"]["spec"]["volumes"]]
        assert "state" not in names
        assert ("Service", stateful["serviceName"]) in objects
        target = objects["HorizontalPodAutoscaler", "fengling-gateway"]["spec"]["scaleTargetRef"]
        assert target["kind"] == "StatefulSet"
        assert "replicas" not in stateful


class DiscoveryTests:
    def test_without_discovery_nobody_has_a_token(self, render: Any) -> None:
        """Nor are there rights, nor settings."""
        objects = render({"discovery": {"enabled": False}})
        assert not [kind for kind, _ in objects if "Role" in kind]
        spec = objects["Deployment", "fengling-console"]["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert not [one for one in spec["containers"][0]["env"] if "KUBERNETES" in one["name"]]

    def test_namespaces_that_are_named_are_all_that_is_seen(self, render: Any) -> None:
        """A Role in each, and no ClusterRole."""
        objects = render({"discovery": {"namespaces": ["shop", "blog"]}})
        assert not [kind for kind, _ in objects if kind.startswith("Cluster")]

    def test_gateway_api_adds_what_it_needs(self, render: Any) -> None:
        """Statuses are written; objects are not."""
        objects = render({"discovery": {"gatewayApi": {"enabled": True}}})
        rules = objects["ClusterRole", "fengling-fengling-console"]["rules"]
        changed = {
            resource
            for rule in rules
            if set(rule["verbs"]) - {"get", "list", "watch"}
            for resource in rule["resources"]
        }
        assert changed == {"gatewayclasses/status", "gateways/status", "httproutes/status"}
        assert not [rule for rule in rules if "secrets" in rule["resources"]]
        gateway_class = objects["GatewayClass", "fengling"]
        assert gateway_class["spec"]["controllerName"] == "gateway.fengling/controller"

    def test_ports_of_gateways_lead_to_the_listeners_that_serve_them(self, render: Any) -> None:
        """By the ports of their Service; the console reads them."""
        inside = {"port": 9000, "servicePort": 9090}
        values = {
            "discovery": {"gatewayApi": {"enabled": True, "addresses": ["203.0.113.7"]}},
            "gateway": {"listeners": {"inside": inside}},
        }
        found = console_settings(render(values))
        assert found.kubernetes.listener_names() == {80: "http", 443: "https", 9090: "inside"}
        assert found.kubernetes.addresses == ["203.0.113.7"]
        assert found.kubernetes.gateway_api

    def test_who_may_take_what_is_told_to_the_console(self, render: Any) -> None:
        """All of it, and nothing where nothing is said."""
        limits = {
            "hosts": ["shop=shop.example,*.shop.example", "infra=*"],
            "tenants": ["infra=*"],
            "maxPriority": 0,
            "gatewayApi": {"enabled": True, "namespaces": ["infra"], "priority": -1},
        }
        found = console_settings(render({"discovery": limits})).kubernetes
        assert found.hosts == limits["hosts"]
        assert found.tenants == limits["tenants"]
        assert found.max_priority == 0
        assert found.gateway_namespaces == ["infra"]
        assert found.gateway_api_priority == -1
        usual = console_settings(render({"discovery": {"gatewayApi": {"enabled": True}}}))
        assert usual.kubernetes.hosts == []
        assert usual.kubernetes.max_priority is None


def console_settings(objects: Any) -> ConsoleSettings:
    return load_console_settings(None, environment(objects, "fengling-console"))


class MonitoringTests:
    def test_rules_are_those_of_the_documentation(self, render: Any) -> None:
        """One copy of them, in etc/prometheus."""
        import yaml

        objects = render(VARIANTS["most"])
        for kind in ("rules", "alerts"):
            path = CHART.parent.parent / "prometheus" / f"fengling-{kind}.yml"
            told = objects["PrometheusRule", f"fengling-{kind}"]["spec"]
            assert told == yaml.safe_load(path.read_text())

    def test_dashboards_are_whole(self, render: Any) -> None:
        """As etc/grafana has them."""
        objects = render(VARIANTS["most"])
        for path in sorted((CHART.parent.parent / "grafana").glob("*.json")):
            [config_map] = [
                one
                for (kind, _), one in objects.items()
                if kind == "ConfigMap" and path.name in one["data"]
            ]
            assert json.loads(config_map["data"][path.name]) == json.loads(path.read_text())
