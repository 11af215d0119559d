"""What etc/kubernetes/Dockerfile makes an image of, as far as that can be seen without building one."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from tests.support.pods import ROOT, manifest

FOLDER = ROOT / "etc" / "kubernetes"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
IGNORED = (FOLDER / "Dockerfile.dockerignore").read_text().split("\n")


def copied() -> dict[str, str]:
    """Return what the first stage copies, and where to."""
    found = {}
    for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            found[source] = target + source if target.endswith("/") else target
    return found


def test_what_is_copied_is_not_ignored() -> None:
    """And is there: all of it is named in both files."""
    kept = {line[1:] for line in IGNORED if line.startswith("!")}
    assert kept == copied().keys()
    assert all((ROOT / one).exists() for one in kept)


def test_user_of_the_image_is_the_user_of_pods() -> None:
    """So that volumes which a plain `docker run` finds in the image are its own."""
    pod = manifest("Deployment", "fengling-gateway")["spec"]["template"]["spec"]
    security = pod["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in DOCKERFILE
    assert f"install -d -o {security['runAsUser']} -g {security['runAsGroup']}" in DOCKERFILE


def test_base_has_a_version_that_is_supported() -> None:
    """By a tag, not by `latest`; one that setup.cfg names."""
    [version] = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"Programming Language :: Python :: {version}" in (ROOT / "setup.cfg").read_text()
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["python:${PYTHON}-slim-trixie"] * 2


@pytest.mark.slow
class StageTests:
    @pytest.mark.timeout(3600)  # gcc takes minutes for what Cython has translated
    def test_stage_installs_compiled_programs(self, tmp_path: Path) -> None:
        """From what is copied and nothing else, into an empty environment."""
        source = tmp_path / "src"
        source.mkdir()
        unwanted = shutil.ignore_patterns(*(one[3:] for one in IGNORED if one.startswith("**/")))
        for one, target in copied().items():
            if (ROOT / one).is_dir():
                shutil.copytree(ROOT / one, source / target, ignore=unwanted)
            else:
                shutil.copy(ROOT / one, source / target)
        assert not [path for path in source.rglob("*") if fnmatch.fnmatch(path.name, "*.so")]
        venv.create(tmp_path / "fengling", with_pip=True)
        programs = tmp_path / "fengling" / "bin"
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        self._run(environ, programs / "pip", "install", "-q", "--no-compile", ".", cwd=source)

        [check] = re.findall(r'bin/python -c "(.+)"', DOCKERFILE)
        self._run(environ, programs / "python", "-c", check, cwd=tmp_path)
        for program in ("fengling-gateway", "fengling-console", "fenglingctl"):
            assert self._run(environ, programs / program, "--version", cwd=tmp_path)

    def _run(self, environ: dict[str, str], *command: object, cwd: Path) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
