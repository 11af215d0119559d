"""The program behind scripts/quickstart."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

from fengling_gateway.embedded.owned import StartError
from fengling_gateway.quickstart.control import SERVERS, Request, print_pid, send_request
from fengling_gateway.quickstart.load import Load
from fengling_gateway.quickstart.pastes import pastes
from fengling_gateway.quickstart.place import Place, PlaceTakenError
from fengling_gateway.quickstart.screen import Screen, open_screen
from fengling_gateway.quickstart.smoke import SmokeError, run_smoke
from fengling_gateway.quickstart.stack import Stack, versions
from fengling_gateway.quickstart.story import Story

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SCRIPT = os.environ.get("FENGLING_CALLED_AS", "scripts/quickstart")


def main() -> None:
    options = parse_options(sys.argv[1:])
    try:
        place = Place(options.directory)
    except PlaceTakenError as error:
        sys.exit(str(error))
    if options.action in ("start", "stop"):
        send_request(place.control, Request(options.action, options.what))
    elif options.action == "pid":
        print_pid(place.state_file, options.what)
    else:
        run(place, options)


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog=SCRIPT,
        description="Run a whole gateway on this machine: PostgreSQL, Valkey, a gateway, a demo "
        "and a little load. Every change is told as it happens. Ctrl-C ends everything.",
    )
    parser.add_argument(
        "--smoke", action="store_true", help="test it: change a route, see it served, stop"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="worker processes (2)")
    parser.add_argument("--plain", action="store_true", help="plain lines, as without a terminal")
    parser.add_argument(
        "--directory", type=Path, default=Path(".quickstart"), help=argparse.SUPPRESS
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", title="while it runs, in another terminal"
    )
    for name in ("stop", "start"):
        action = actions.add_parser(name, help=f"{name} one of its servers: {', '.join(SERVERS)}")
        action.add_argument("what", choices=SERVERS)
    pid = actions.add_parser("pid", help="print the pid of a program: worker, gateway, postgres, …")
    pid.add_argument("what")
    return parser.parse_args(arguments)


def run(place: Place, options: argparse.Namespace) -> NoReturn:
    """Take the place, run, clean up, and exit."""
    # What comes while we take the place waits until there is somebody to clean up.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        place.take()
    except PlaceTakenError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _hang_up)
    failure, keep_logs = "", True
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        failure = _run_on_screen(place, options)
        keep_logs = bool(failure)
    except KeyboardInterrupt:
        keep_logs = False
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EPIPE):
            raise
        # The terminal has gone, or the pipe that we write to.
        _mute()
        failure, keep_logs = str(error), False
    finally:
        _deafen()
        place.leave(keep_logs=keep_logs)
    if keep_logs:
        print(f"The logs are in {place.shown}/logs.", file=sys.stderr)
    sys.exit(1 if failure else 0)


def _run_on_screen(place: Place, options: argparse.Namespace) -> str:
    """Run to the end, and return what went wrong, which has been said."""
    failure = ""
    with open_screen(plain=options.plain or options.smoke) as screen:
        try:
            _run_stack(place, screen, options)
        except (StartError, SmokeError) as error:
            failure = str(error)
        except KeyboardInterrupt:
            pass
        if failure:
            screen.say("bad", failure)
    return failure


def _run_stack(place: Place, screen: Screen, options: argparse.Namespace) -> None:
    began = time.monotonic()
    screen.title(versions())
    screen.step("starting PostgreSQL")
    stack = Stack(place, workers=options.workers)
    try:
        for done, following in stack.start():
            screen.say("good", f"{done} ({time.monotonic() - began:.1f} s)")
            screen.step(following)
        stack.announce()
        load = Load("127.0.0.1", stack.traffic_port)
        if options.smoke:
            run_smoke(stack, screen, load)
        else:
            _tell(stack, screen, load)
    finally:
        _deafen()
        try:
            screen.step("stopping")
        finally:
            stack.stop()


def _tell(stack: Stack, screen: Screen, load: Load) -> None:
    story = Story(stack, screen, load)
    story.start()
    try:
        screen.links(stack.links())
        screen.pastes(pastes(stack.place.shown, SCRIPT))
        story.run()
    finally:
        _deafen()
        story.stop()
        screen.say("plain", story.live_line())


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _hang_up(*_: Any) -> None:
    """The terminal was closed: end as by TERM, and write to it no more, which would fail."""
    _mute()
    raise KeyboardInterrupt


def _mute() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


def _deafen() -> None:
    """From now on we are ending: a second Ctrl-C must not leave something behind."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
