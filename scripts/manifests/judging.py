"""What others say of manifests and of the Dockerfile: the schemas of Kubernetes, and hadolint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = ROOT / "etc" / "kubernetes" / "Dockerfile"

OLDEST = "1.30"
"""As `kubeVersion` of the chart."""

OURS_TO_JUDGE = frozenset(("GatewayClass", "PrometheusRule", "ServiceMonitor"))
"""Kinds of CustomResourceDefinitions, of which Kubernetes itself has no schema."""


def schema_problems(text: str) -> Iterator[str]:
    """Return what the oldest and the newest Kubernetes that we know would refuse in manifests."""
    for one in yaml.safe_load_all(text):
        if one["kind"] in OURS_TO_JUDGE:
            continue
        for version in (OLDEST, kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(map(str, error.path))
                yield f"{one['kind']} {one['metadata']['name']} ({version}): {path}: {error.message}"


def dockerfile_problems() -> Iterator[str]:
    """Return what hadolint finds in the Dockerfile; it is installed beside this interpreter."""
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--no-color", str(DOCKERFILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    yield from (done.stdout + done.stderr).splitlines()
