"""What is installed, and how it is found."""

from __future__ import annotations

import runpy
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fengling_gateway

ROOT = Path(fengling_gateway.__file__).parent.parent
DATA = {".sql", ".typed", ".mako", ".ini", ".yaml"}


class InstalledTests:
    """This very installation."""

    def test_twistd_knows_the_gateway_from_anywhere(self, tmp_path: Path) -> None:
        """The plugin is found through the path of the interpreter, not through a directory."""
        listing = subprocess.run(
            [sys.executable, "-m", "twisted", "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert " fengling-gateway " in listing.stdout

    @pytest.mark.parametrize("name", ["fengling-gateway", "fenglingctl"])
    def test_console_script_can_be_loaded(self, name: str) -> None:
        """What its entry point names exists."""
        [entry] = entry_points(group="console_scripts", name=name)
        assert callable(entry.load())


class ExtensionTests:
    """When setup.py has the hot modules compiled."""

    @pytest.mark.parametrize(
        ("command", "variable", "compiled"),
        [
            ("bdist_wheel", None, True),
            ("bdist_wheel", "FENGLING_NO_EXTENSIONS", False),
            ("egg_info", None, False),
            ("editable_wheel", None, False),
            ("editable_wheel", "FENGLING_EXTENSIONS", True),
        ],
    )
    def test_command_that_builds_them_compiles(
        self, monkeypatch: pytest.MonkeyPatch, command: str, variable: str | None, compiled: bool
    ) -> None:
        """Not one that only asks what the package is, nor an editable install unless told."""
        pytest.importorskip("setuptools")
        given: dict[str, Any] = {}
        monkeypatch.setattr("setuptools.setup", given.update)
        cython = SimpleNamespace(cythonize=lambda sources, **_: sources)
        monkeypatch.setitem(sys.modules, "Cython", SimpleNamespace(Build=cython))
        monkeypatch.setitem(sys.modules, "Cython.Build", cython)
        for name in ("FENGLING_NO_EXTENSIONS", "FENGLING_EXTENSIONS"):
            monkeypatch.delenv(name, raising=False)
        if variable is not None:
            monkeypatch.setenv(variable, "1")
        monkeypatch.setattr(sys, "argv", ["setup.py", command])
        runpy.run_path(str(ROOT / "setup.py"))
        assert bool(given["ext_modules"]) is compiled


@pytest.mark.slow
class WheelTests:
    """A wheel made from this checkout."""

    def test_wheel_holds_every_file_that_is_needed(self, tmp_path: Path) -> None:
        """Modules, SQL and the plugin; no tests."""
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "wheel",
                "-q",
                "--no-deps",
                "-w",
                str(tmp_path),
                str(ROOT),
            ],
            check=True,
        )
        [wheel] = tmp_path.glob("*.whl")
        held = set(zipfile.ZipFile(wheel).namelist())
        package = ROOT / "fengling_gateway"
        wanted = {
            str(path.relative_to(ROOT))
            for path in package.rglob("*")
            if path.suffix in {".py", *DATA} and "__pycache__" not in path.parts
        }
        assert wanted - held == set()
        assert "twisted/plugins/fengling_gateway_plugin.py" in held
        assert not [name for name in held if name.startswith(("tests/", "benchmarks/"))]
