"""The plain manifests of etc/kubernetes: rights, what pods may, and what belongs together."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

from fengling_gateway.settings import load_console_settings, load_settings
from fengling_gateway.supervisor.last_moments import KILL_AFTER_DRAIN_SECONDS
from tests.support.pods import ROOT, manifest, manifests

WORKLOADS = [
    ("Job", "fengling-migration"),
    ("Deployment", "fengling-console"),
    ("Deployment", "fengling-gateway"),
]
TOKEN_KEY, SYNC_KEY = (f"2026-11:{secrets.token_hex(32)}" for _ in range(2))


def pod(kind: str, name: str) -> dict[str, Any]:
    return dict(manifest(kind, name)["spec"]["template"]["spec"])


def ports(name: str) -> dict[str, int]:
    [container] = pod("Deployment", name)["containers"]
    return {one["name"]: one["containerPort"] for one in container["ports"]}


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
class PodTests:
    def test_pod_is_restricted(self, kind: str, name: str) -> None:
        """As Pod Security Admission asks in a namespace that enforces it, and read-only besides."""
        spec = pod(kind, name)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= {"emptyDir", "projected", "secret", "configMap"}
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(one.get("hostPort") is None for one in container.get("ports", ()))

    def test_pod_has_a_bound_of_memory_and_asks_for_cpu(self, kind: str, name: str) -> None:
        """What workers may use is worked out from the bound."""
        [container] = pod(kind, name)["containers"]
        assert container["resources"]["limits"].keys() >= {"memory"}
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}

    def test_secrets_are_files_that_only_the_group_reads(self, kind: str, name: str) -> None:
        """No variable holds one, and the program accepts the mode."""
        spec = pod(kind, name)
        [files] = [one["projected"] for one in spec["volumes"] if "projected" in one]
        assert files["defaultMode"] == 0o440
        [container] = spec["containers"]
        for one in container["env"]:
            assert one.get("valueFrom", {}).keys() <= {"fieldRef"}
            assert not re.search("://|[0-9a-f]{32}", one.get("value", "").replace("http://f", ""))

    def test_labels_that_are_selected_by_are_those_of_the_pod(self, kind: str, name: str) -> None:
        """Of Service, budget, policy and spreading alike."""
        workload = manifest(kind, name)
        labels = workload["metadata"]["labels"]
        pods = workload["spec"]["template"]["metadata"]["labels"]
        component = labels["app.kubernetes.io/component"]
        for selector in selectors(component):
            assert selector.items() <= pods.items()


def selectors(component: str) -> Iterator[dict[str, str]]:
    for one in manifests():
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") != component:
            continue
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            yield spec["selector"]
        elif one["kind"] in {"Deployment", "PodDisruptionBudget"}:
            yield spec["selector"]["matchLabels"]
        elif one["kind"] == "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]


class TerminationTests:
    def test_grace_period_holds_all_that_a_gateway_takes_to_end(self) -> None:
        """The wait before TERM, the drain, and what comes after it: killed workers, last spans."""
        spec = pod("Deployment", "fengling-gateway")
        [container] = spec["containers"]
        announced = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        settings = load_settings(None, environment("fengling-gateway"))
        after = KILL_AFTER_DRAIN_SECONDS + settings.tracing.timeout
        needed = announced + settings.drain.deadline + after
        assert needed <= spec["terminationGracePeriodSeconds"] <= needed + 10

    def test_balancers_have_time_to_see_that_a_pod_is_gone(self) -> None:
        """Longer than it takes two probes to fail, for those that probe by themselves."""
        [container] = pod("Deployment", "fengling-gateway")["containers"]
        probe = container["readinessProbe"]
        announced = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert probe["periodSeconds"] * probe["failureThreshold"] <= announced

    def test_no_rollout_has_fewer_pods_than_asked_for(self) -> None:
        """A new one is ready before an old one ends."""
        for name in ("fengling-gateway", "fengling-console"):
            rolling = manifest("Deployment", name)["spec"]["strategy"]["rollingUpdate"]
            assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


class RightsTests:
    def test_gateway_has_neither_token_nor_rights(self) -> None:
        """Whoever takes one over can ask the API server nothing."""
        assert pod("Deployment", "fengling-gateway")["automountServiceAccountToken"] is False
        assert pod("Job", "fengling-migration")["automountServiceAccountToken"] is False
        subjects = [
            subject["name"]
            for one in manifests()
            if one["kind"].endswith("RoleBinding")
            for subject in one["subjects"]
        ]
        assert subjects == ["fengling-console"]

    def test_console_may_look_at_services_and_their_slices_only(self) -> None:
        """No Secrets, and nothing is changed."""
        assert pod("Deployment", "fengling-console")["automountServiceAccountToken"] is True
        rules = manifest("ClusterRole", "fengling-fengling-console")["rules"]
        assert rules == [
            {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
            {
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "verbs": ["list", "watch"],
            },
        ]


def environment(name: str) -> dict[str, str]:
    """Return the variables of a pod, with secrets themselves in place of their files."""
    [container] = pod("Deployment", name)["containers"]
    told = {
        one["name"]: one.get("value", "a-pod")
        for one in container["env"]
        if not one["name"].endswith("_FILE")
    }
    return {
        **told,
        "FENGLING_DATABASE__URL": "postgresql://gateway@db/fengling",
        "FENGLING_MANAGEMENT__TOKEN_KEYS": TOKEN_KEY,
        "FENGLING_REDIS__URL": "redis://valkey:6379/0",
        "FENGLING_SYNC__KEYS": SYNC_KEY,
    }


class SettingsTests:
    def test_listeners_of_a_gateway_are_the_ports_of_its_pod(self) -> None:
        """And its management API is where the kubelet and Prometheus ask."""
        settings = load_settings(None, environment("fengling-gateway"))
        listening = {one.name: one.host_and_port() for one in settings.listeners}
        listening["management"] = settings.management.host_and_port()
        named = ports("fengling-gateway")
        assert listening == {name: ("0.0.0.0", port) for name, port in named.items()}
        assert named == {"http": 8000, "https": 8443, "management": 8001}

    def test_directories_of_a_gateway_are_volumes(self) -> None:
        """All else is read-only."""
        settings = load_settings(None, environment("fengling-gateway"))
        [container] = pod("Deployment", "fengling-gateway")["containers"]
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert {str(settings.runtime_dir), str(settings.state_dir)} < mounted

    def test_console_listens_where_its_service_leads(self) -> None:
        """With all of its settings, those of [kubernetes] included."""
        settings = load_console_settings(None, environment("fengling-console"))
        assert settings.kubernetes.enabled
        assert settings.host_and_port() == ("0.0.0.0", ports("fengling-console")["http"])

    def test_try_it_goes_to_the_gateways(self) -> None:
        """The console names their Service and a port of it."""
        gateway_url = environment("fengling-console")["FENGLING_HTTP__GATEWAY_URL"]
        service = manifest("Service", "fengling-gateway")
        [port] = [one["port"] for one in service["spec"]["ports"] if one["name"] == "http"]
        assert gateway_url == f"http://fengling-gateway.fengling:{port}"

    def test_every_secret_is_one_that_the_documentation_has_made(self) -> None:
        """Else a pod would wait for it forever."""
        asked = {
            (source["secret"]["name"], item["key"])
            for kind, name in WORKLOADS
            for volume in pod(kind, name)["volumes"]
            for source in volume.get("projected", {"sources": ()})["sources"]
            for item in source["secret"]["items"]
        }
        documented = (ROOT / "docs" / "kubernetes-install.md").read_text()
        made = {
            (name, key)
            for name, options in re.findall(r"create secret generic (\S+)(.*)", documented)
            for key in re.findall(r"--from-\w+=([\w-]+)=", options)
        }
        assert asked <= made


class MonitoringTests:
    def test_labels_of_the_operator_do_not_hide_ours(self) -> None:
        """`service` is that of a route, and alerts know gateways by job and cluster."""
        [endpoint] = manifest("ServiceMonitor", "fengling-gateway")["spec"]["endpoints"]
        drop, *put = endpoint["relabelings"]
        assert drop["action"] == "labeldrop"
        assert re.fullmatch(drop["regex"], "service")
        assert {one["targetLabel"]: one["replacement"] for one in put} == {
            "job": "fengling",
            "cluster": "default",
        }

    @pytest.mark.parametrize("program", ["gateway", "console"])
    def test_monitor_finds_one_service_and_a_port_of_it(self, program: str) -> None:
        """Not the Service that takes the requests of clients."""
        monitor = manifest("ServiceMonitor", f"fengling-{program}")["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        [service] = [
            one
            for one in manifests()
            if one["kind"] == "Service" and wanted <= one["metadata"]["labels"].items()
        ]
        [endpoint] = monitor["endpoints"]
        assert endpoint["port"] in [one["name"] for one in service["spec"]["ports"]]


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_container_starts_a_program_that_is_installed(kind: str, name: str) -> None:
    """The image has no other one of ours."""
    [container] = pod(kind, name)["containers"]
    assert entry_points(group="console_scripts", name=container["command"][0])
