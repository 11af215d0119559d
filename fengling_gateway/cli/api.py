"""The management API as commands use it: plain HTTP, and errors that say what to do."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from fengling_gateway.cli.errors import CommandError

TIMEOUT_SECONDS: Final = 15.0
PAGE: Final = 500
SILENCE_SECONDS: Final = 45.0
"""Of a stream of events, in which something is said every 15 s."""

_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_MAX_LINE_BYTES: Final = 64 * 1024
"""Of an event, at once; a longer line comes in parts, which say nothing more."""


class Answer(NamedTuple):
    status: int
    document: Any


class AwayError(CommandError):
    """
    Nobody has answered.

    Attributes:
        reason: why, without the address.
        is_sent: the request may have arrived all the same.
    """

    def __init__(self, message: str, reason: object, *, is_sent: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_sent = is_sent


class RefusedError(CommandError):
    """
    The answer is a problem document.

    Attributes:
        status: the answer's.
        detail: what it says, in a sentence.
        problems: of it, as the API tells them.
        document: all of it.
    """

    def __init__(
        self,
        message: str,
        status: int,
        detail: str,
        problems: list[dict[str, Any]],
        document: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.problems = problems
        self.document = document or {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to somebody else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class ManagementApi:
    """
    One gateway's API.

    Args:
        token: called when a request is about to be made; may raise
            `CommandError`.
    """

    _base = "/api/gateway"
    _whose = "gateway"
    _kind = "management API"
    _example = "http://host:8001"
    _option = "--management URL"

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(f"{url} is not the URL of a {self._kind} ({self._example})")
        self.url = url.rstrip("/")
        self._token = token
        # Proxies of the environment are for the Internet, not for this.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def get(self, path: str, **query: Any) -> Any:
        """Return a document. Every answer but success is a `CommandError`."""
        return self._checked(self._ask("GET", path, query, None, TIMEOUT_SECONDS))

    def post(
        self,
        path: str,
        body: dict[str, Any],
        *,
        accept: frozenset[int] = frozenset(),
        timeout: float = TIMEOUT_SECONDS,
        query: dict[str, Any] | None = None,
    ) -> Answer:
        """Like `get`; statuses in ``accept`` are answers, too."""
        answer = self._ask("POST", path, query or {}, body, timeout)
        if answer.status not in accept:
            self._checked(answer)
        return answer

    def send(self, method: str, path: str, **query: Any) -> Any:
        """Send a request without a body, of any method, and return the document."""
        return self._checked(self._ask(method, path, query, None, TIMEOUT_SECONDS))

    def text(self, path: str) -> str:
        """
        Return what is beside the API, such as ``metrics``, whatever its status.

        Nobody needs a token for it, and none is sent.
        """
        request = urllib.request.Request(f"{self.url}/{quote(path)}")  # noqa: S310 - see above
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return str(response.read(_MAX_ANSWER_BYTES).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                return error.read(_MAX_ANSWER_BYTES).decode(errors="replace")
        except (OSError, ValueError, HTTPException) as error:
            raise self._away(error) from error

    def lines(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """
        Send a request, and yield what is answered line by line, each a document, as it comes.

        Raises:
            AwayError: nobody answers, or says nothing more.
        """
        request = self._request("POST", path, {}, body)
        try:
            with self._opener.open(request, timeout=SILENCE_SECONDS) as response:
                while line := response.readline(_MAX_LINE_BYTES):
                    yield json.loads(line)
        except urllib.error.HTTPError as error:
            with error:
                answer = self._answer(error.code, error.read(_MAX_ANSWER_BYTES))
            raise self._refusal(answer) from error
        except (OSError, ValueError, HTTPException) as error:
            raise self._away(error) from error

    def token(self) -> str:
        """
        Return the token.

        Raises:
            CommandError: there is none.
        """
        return self._token()

    def all(self, name: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield every entity of a list."""
        after = None
        while True:
            query = {"limit": PAGE} if after is None else {"limit": PAGE, "after": after}
            page = self.get(name, **filters, **query)
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        body: dict[str, Any] | None,
        timeout: float,
    ) -> Answer:
        request = self._request(method, path, query, body)
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return self._answer(response.status, response.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return self._answer(error.code, error.read(_MAX_ANSWER_BYTES))
        except (OSError, ValueError, HTTPException) as error:
            raise self._away(error) from error

    def _request(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None
    ) -> urllib.request.Request:
        url = f"{self.url}{self._base}/{quote(path)}"
        if query:
            url += "?" + urlencode(query)
        request = urllib.request.Request(  # noqa: S310 - the scheme has been checked
            url, method=method, headers={"Authorization": f"Bearer {self._header()}"}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return request

    def _away(self, error: Exception) -> AwayError:
        reason = getattr(error, "reason", None) or error
        # (A name that nobody knows, a port at which nobody listens.)
        is_sent = not isinstance(reason, (ConnectionRefusedError, socket.gaierror))
        said = getattr(reason, "strerror", None) or reason
        return AwayError(
            f"no {self._whose} answers at {self.url} ({said}); name one with {self._option}",
            said,
            is_sent=is_sent,
        )

    def _header(self) -> str:
        token = self._token()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CommandError("the token holds characters that no token has")
        return token

    def _answer(self, status: int, content: bytes) -> Answer:
        if status == 204:
            return Answer(status, None)
        try:
            return Answer(status, json.loads(content))
        except ValueError:
            raise CommandError(
                f"{self.url} answers {status}, but not as a {self._kind} does"
            ) from None

    def _checked(self, answer: Answer) -> Any:
        if answer.status < 300:
            return answer.document
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> RefusedError:
        problem = answer.document if isinstance(answer.document, dict) else {}
        detail = problem.get("detail") or problem.get("title") or f"status {answer.status}"
        problems = [one for one in problem.get("problems") or () if isinstance(one, dict)]
        if problems:
            if str(detail).startswith(problem_line(problems[0])):
                detail = problem.get("title") or detail  # (a console's detail is the first of them)
            detail = f"{detail}: " + "; ".join(map(problem_line, problems))
        message = f"{self.url}: {detail}"
        if answer.status == 401:
            why = problem.get("detail") or "it is of another gateway, or damaged"
            message = (
                f"{self.url} does not accept the token: {why}; "
                "`fenglingctl token create` makes a new one"
            )
        elif answer.status >= 500 and problem.get("request_id"):
            message += f" (its log has more under request {problem['request_id']})"
        return RefusedError(message, answer.status, str(detail), problems, problem)


def problem_line(problem: dict[str, Any]) -> str:
    """Return what is wrong, with the entity and the field in which."""
    return ": ".join(str(problem[n]) for n in ("entity", "path", "message") if problem.get(n))


class ConsoleApi(ManagementApi):
    """A console's API."""

    _base = "/api/console"
    _whose = "console"
    _kind = "console"
    _example = "http://host:8002"
    _option = "--console URL"

    def listen(self) -> Iterator[str]:
        """
        Yield the name of each event as it is told, empty where the console only says that it is there.

        Ends when the console ends the stream; what it has to say may be read then as always.

        Raises:
            AwayError: it says nothing for so long that it must be gone.
        """
        request = self._request("GET", "events", {}, None)
        request.add_header("Accept", "text/event-stream")
        try:
            with self._opener.open(request, timeout=SILENCE_SECONDS) as response:
                yield from _named(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = self._answer(error.code, error.read(_MAX_ANSWER_BYTES))
            raise self._refusal(answer) from error
        except (OSError, ValueError, HTTPException) as error:
            raise self._away(error) from error


def _named(response: HTTPResponse) -> Iterator[str]:
    """Yield the names of a stream's events (HTML Living Standard, 9.2); their data is left unread."""
    name = ""
    yield name
    while line := response.readline(_MAX_LINE_BYTES):
        if line.startswith(b"event:"):
            name = line[6:].decode(errors="replace").strip()
        elif line == b"\n":
            yield name
            name = ""
