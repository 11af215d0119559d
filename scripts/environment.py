"""Make .venv hold this checkout and what it needs, at one of four levels.

Run by scripts/environment.sh with any Python 3.11 or newer; standard library
only. It does nothing, in a few milliseconds, unless a file that says what to
install has changed since it last did something.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".fengling-installed"
LEVELS = ("embedded", "test", "dev", "mutation")
"""Extras of setup.cfg, each with all of those before it."""

SETUP_FILES = ("setup.py", "setup.cfg", "pyproject.toml", "scripts/environment.py")


def wanted_stamp(level: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for name in SETUP_FILES:
        digest.update((ROOT / name).read_bytes())
    return {"level": level, "files": digest.hexdigest(), "root": str(ROOT)}


def is_installed(level: str) -> bool:
    try:
        found = json.loads(STAMP.read_text())
        enough = LEVELS.index(found["level"]) >= LEVELS.index(level)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    same = {**found, "level": level} == wanted_stamp(level)
    return enough and same and PYTHON.exists()


def create() -> list[str]:
    """Create .venv where there is none, and return the command that is its pip."""
    if not PYTHON.exists():
        say("creating .venv")
        try:
            venv.create(VENV, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            # Debian keeps the bundled pip in a package of its own (python3-venv).
            venv.create(VENV, with_pip=False, symlinks=True)
    has_pip = subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False)
    if has_pip.returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def install(level: str) -> None:
    """Install this checkout in place with the extras of `level`, and show that it moves."""
    pip = create()
    began = time.monotonic()
    command = [*pip, "install", "--progress-bar", "off", "--disable-pip-version-check"]
    running = subprocess.Popen(
        [*command, "--editable", f"{ROOT}[{level}]"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    output: list[str] = []
    for step in ticking(progress(running.stdout, output)):
        say(f"installing: {step} ({time.monotonic() - began:.0f} s)", live=True)
    if running.wait():
        say("")
        sys.exit("".join(output[-40:]) + "\npip failed; its last words are above.")
    precompile()
    say(f"installed what it needs into .venv in {time.monotonic() - began:.0f} s")


def precompile() -> None:
    """
    Compile our modules to bytecode, as pip does for what it doesn't install in place.

    Python does so by itself, unless PYTHONDONTWRITEBYTECODE is set, as in many
    containers: then each process of a gateway would do it anew. Bytecode is
    checked against the content of its source: an edit takes effect, however
    soon after.
    """
    command = [str(PYTHON), "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    subprocess.run([*command, str(ROOT / "fengling_gateway")], check=False)


def progress(lines: Iterable[str], output: list[str]) -> Iterator[str]:
    """Yield what pip is doing in a few words, and keep all it says in `output`."""
    found = 0
    for line in lines:
        output.append(line)
        words = line.split()
        if words[:1] == ["Collecting"]:
            found += 1
            yield f"{found} found, {re.split('[^A-Za-z0-9._-]', words[1])[0]}"
        elif words[:1] == ["Installing"] and "packages:" in words:
            yield f"unpacking {len(words) - 3} packages"
        elif words[:1] == ["Downloading"] and len(words) > 2:
            yield f"{found} found, downloading {words[-2].strip('(')} {words[-1].strip(')')}"
        elif words[:1] == ["Building"]:
            yield "building this checkout"


def ticking(steps: Iterator[str], interval: float = 1.0) -> Iterator[str]:
    """Yield each step, and again after every second without a new one: something moves."""
    taken: queue.Queue[str | None] = queue.Queue()

    def take() -> None:
        for step in steps:
            taken.put(step)
        taken.put(None)

    threading.Thread(target=take, daemon=True).start()
    step: str | None = "looking at what is needed"
    while step is not None:
        yield step
        try:
            step = taken.get(timeout=interval)
        except queue.Empty:
            pass


_last_said = 0.0


def say(text: str, *, live: bool = False) -> None:
    """Print to the terminal; a live line is replaced by the next, or is rare without one."""
    global _last_said  # noqa: PLW0603
    if sys.stderr.isatty():
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
        end = "" if live else "\n"
        print(f"\r\033[K{text[:width]}", end=end, file=sys.stderr, flush=True)
    elif not live or time.monotonic() - _last_said > 5:
        print(text, file=sys.stderr, flush=True)
        _last_said = time.monotonic()


def main() -> None:
    level = sys.argv[1]
    if is_installed(level):
        return
    VENV.mkdir(exist_ok=True)
    with (VENV / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_installed(level):  # somebody else just did it
            return
        try:
            kept = json.loads(STAMP.read_text())["level"]
            level = max(level, kept, key=LEVELS.index)  # never take tools away
        except (OSError, ValueError, KeyError, TypeError):
            pass
        install(level)
        STAMP.write_text(json.dumps(wanted_stamp(level)))


if __name__ == "__main__":
    main()
