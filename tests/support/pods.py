"""
Containers of manifests as processes of this machine: their command, environment, files and probes.

What a kubelet does to a container is done as far as it goes without one: variables as they are
named, secrets as files that the pod's group reads, an empty directory for each volume. Paths and
ports are this machine's own, so every value has those instead of the pod's. As root, where the
kernel lets us have a mount namespace, it runs as the pod's user, without capabilities, and can
write nowhere but in the volumes.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fengling_gateway.embedded.guarded import shared_guard
from fengling_gateway.embedded.ports import free_port
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = ROOT / "etc" / "kubernetes" / "manifests"
PROGRAMS = Path(sys.executable).parent
SECRET_FILES = "/etc/fengling/secrets"

_API_SERVER = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
"""As every container is told of it; here nobody listens."""

_KILLED_AFTER_SECONDS = 10.0
"""What is left of a container whose tests were killed."""

_CONFINE = """\
set -e
user=$1; group=$2; python=$3; closed=$4; volumes=$5; shift 5
mount --make-rprivate /
if [ -n "$closed" ]; then
    mount --bind "$python" /mnt
    mount -t tmpfs -o mode=0711 tmpfs "$closed"
    mkdir -p "$python"
    mount --move /mnt "$python"
fi
for volume in $volumes; do mount --bind "$volume" "$volume"; done
for point in $(awk '$5 !~ "^/(proc|sys|dev)(/|$)" {print $5}' /proc/self/mountinfo); do
    case " $volumes " in *" $point "*) ;; *) mount -o remount,ro,bind "$point" ;; esac
done
exec setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all -- "$@"
"""
"""
Becomes `user`, who can write only below `volumes` from here on.

Where others may not come to `python`, since it is in somebody's home, `closed`, the directory that keeps
them out, is replaced by one that does not and has nothing else in it.
"""


def manifest(kind: str, name: str) -> dict[str, Any]:
    """Return an object of the plain manifests."""
    return next(
        one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )


@functools.cache
def manifests() -> tuple[dict[str, Any], ...]:
    """Return all objects of the plain manifests, in the order that they are applied."""
    paths = [path for path in sorted(MANIFESTS.glob("*.yaml")) if path.name != "values.yaml"]
    return tuple(one for path in paths for one in yaml.safe_load_all(path.read_text()))


class Container:
    """
    The only container of a workload's pod.

    Args:
        workload: a Deployment, StatefulSet or Job.
        secrets: what Secrets hold, by their names and keys.
        also: more variables, as somebody may set them (extraEnv).

    Attributes:
        output: what it has written, a file.
    """

    def __init__(
        self,
        workload: Mapping[str, Any],
        directory: Path,
        *,
        secrets: Mapping[tuple[str, str], str],
        also: Mapping[str, str] | None = None,
    ) -> None:
        self.name = f"{workload['metadata']['name']}-7d9f8b6c5d-x2x7q"
        self.pod = workload["spec"]["template"]["spec"]
        [self.spec] = self.pod["containers"]
        self.ports = {one["name"]: free_port() for one in self.spec.get("ports", ())}
        self.output = directory / "output.log"
        self._also = also or {}
        self._volumes = self._make_volumes(directory)
        self._project(secrets)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def grace_seconds(self) -> int:
        return int(self.pod["terminationGracePeriodSeconds"])

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = shared_guard().start(
                [*self._confined(), str(PROGRAMS / self.spec["command"][0]), *self._arguments()],
                signal.SIGTERM,
                _KILLED_AFTER_SECONDS,
                stdout=output,
                stderr=output,
                env=self.environment(),
                cwd="/",
            )

    def execute(self, *command: str) -> str:
        """Run a command beside it, as `kubectl exec` does; returns its output."""
        done = subprocess.run(
            [*self._confined(), *command],
            env=self.environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return its whole environment: nothing of ours is in it."""
        told = {one["name"]: self._value(one) for one in self.spec["env"]}
        image = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
        return {**image, **_API_SERVER, **told, **self._also}

    def volume(self, path: str) -> Path:
        """Return the directory that is mounted there."""
        return self._volumes[path]

    def probe(self, which: str) -> int:
        """Ask as a kubelet does; returns the status, 0 where nobody answers."""
        asked = self.spec[which]["httpGet"]
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports[asked["port"]], timeout=self.spec[which]["timeoutSeconds"]
        )
        try:
            connection.request("GET", asked["path"], headers={"User-Agent": "kube-probe/1.34"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"exited:\n{self.log}")
            return self.probe("readinessProbe") == 200

        try:
            wait_until(ready, timeout=60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def update(self, secrets: Mapping[tuple[str, str], str]) -> None:
        """Change files to what Secrets hold now."""
        self._project(secrets)

    def wait(self) -> int:
        """Return its exit status; it has the pod's grace period, or that of a test, to end."""
        assert self.process is not None
        try:
            status = self.process.wait(float(self.pod.get("terminationGracePeriodSeconds", 60)))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended:\n{self.log}") from None
        shared_guard().forget(self.process)
        return status

    def close(self) -> None:
        """End it however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _arguments(self) -> list[str]:
        return [*self.spec["command"][1:], *self.spec.get("args", ())]

    def _value(self, variable: Mapping[str, Any]) -> str:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            return self.name
        value = str(variable["value"])
        for path, directory in self._volumes.items():
            value = value.replace(path, str(directory))
        by_number = {
            str(one["containerPort"]): self.ports[one["name"]] for one in self.spec.get("ports", ())
        }
        return re.sub(r"0\.0\.0\.0:(\d+)", lambda at: f"127.0.0.1:{by_number[at[1]]}", value)

    # Volumes

    def _make_volumes(self, directory: Path) -> dict[str, Path]:
        """Make the directory of each volume; returns them by the paths where they are mounted."""
        by_name = {one["name"]: one for one in self.pod["volumes"]}
        made = {}
        for mount in self.spec["volumeMounts"]:
            volume, path = by_name[mount["name"]], directory / mount["name"]
            path.mkdir()
            if "emptyDir" in volume:
                self._give(path, 0o770)
            else:
                path.chmod(0o755)
            made[mount["mountPath"]] = path
        return made

    def _project(self, secrets: Mapping[tuple[str, str], str]) -> None:
        [volume] = [one["projected"] for one in self.pod["volumes"] if "projected" in one]
        for source in volume["sources"]:
            for item in source["secret"]["items"]:
                file = self._volumes[SECRET_FILES] / item["path"]
                file.unlink(missing_ok=True)
                file.write_text(secrets[source["secret"]["name"], item["key"]] + "\n")
                self._give(file, volume["defaultMode"])

    def _give(self, path: Path, mode: int) -> None:
        """Let the pod's group have it, as a kubelet does by `fsGroup`."""
        if confines():
            os.chown(path, 0, self.pod["securityContext"]["fsGroup"])
        path.chmod(mode)

    def _confined(self) -> Sequence[str]:
        if not confines():
            return ()
        security = self.pod["securityContext"]
        return _confined(security["runAsUser"], security["runAsGroup"], self._writable())

    def _writable(self) -> list[str]:
        empty = {one["name"] for one in self.pod["volumes"] if "emptyDir" in one}
        mounts = self.spec["volumeMounts"]
        return [str(self._volumes[one["mountPath"]]) for one in mounts if one["name"] in empty]


def _confined(user: int, group: int, writable: Sequence[str]) -> Sequence[str]:
    python = Path(sys.base_prefix).resolve()
    closed = [one for one in reversed(python.parents) if not one.stat().st_mode & stat.S_IXOTH]
    told = (str(user), str(group), str(python), str(closed[0]) if closed else "")
    return ("unshare", "--mount", "sh", "-c", _CONFINE, "sh", *told, " ".join(writable))


@functools.cache
def confines() -> bool:
    """Whether containers are confined here: we are root, may mount, and others may run our Python."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "mount", "awk"))):
        return False
    # (As it starts a worker: what it may itself is not yet what its user may.)
    starts = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    )
    tried = subprocess.run(
        [*_confined(10001, 10001, ()), sys.executable, "-c", starts, "import fengling_gateway"],
        capture_output=True,
        check=False,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]},
        cwd="/",
    )
    return tried.returncode == 0
