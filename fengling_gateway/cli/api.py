"""The management API as commands use it: plain HTTP, and errors that say what to do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from fengling_gateway.cli.errors import CommandError

TIMEOUT_SECONDS: Final = 15.0
PAGE: Final = 500
_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024


class Answer(NamedTuple):
    status: int
    document: Any


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

    def all(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield every entity of a list."""
        after = None
        while True:
            query = {"limit": PAGE} if after is None else {"limit": PAGE, "after": after}
            page = self.get(name, **query)
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
        url = f"{self.url}{self._base}/{quote(path)}"
        if query:
            url += "?" + urlencode(query)
        request = urllib.request.Request(  # noqa: S310 - the scheme has been checked
            url, method=method, headers={"Authorization": f"Bearer {self._header()}"}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return self._answer(response.status, response.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return self._answer(error.code, error.read(_MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise CommandError(
                f"no {self._whose} answers at {self.url} ({reason}); name one with {self._option}"
            ) from error

    def _header(self) -> str:
        token = self._token()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CommandError("the token holds characters that no token has")
        return token

    def _answer(self, status: int, content: bytes) -> Answer:
        try:
            return Answer(status, json.loads(content))
        except ValueError:
            raise CommandError(
                f"{self.url} answers {status}, but not as a {self._kind} does"
            ) from None

    def _checked(self, answer: Answer) -> Any:
        if answer.status < 300:
            return answer.document
        problem = answer.document if isinstance(answer.document, dict) else {}
        detail = problem.get("detail") or problem.get("title") or f"status {answer.status}"
        reasons = [f"{one['path']}: {one['message']}" for one in problem.get("problems") or ()]
        if reasons:
            detail += ": " + "; ".join(reasons)
        if answer.status == 401:
            why = problem.get("detail") or "it is of another gateway, or damaged"
            raise CommandError(
                f"{self.url} does not accept the token: {why}; "
                "`fenglingctl token create` makes a new one"
            )
        if answer.status >= 500 and problem.get("request_id"):
            detail += f" (its log has more under request {problem['request_id']})"
        raise CommandError(f"{self.url}: {detail}")


class ConsoleApi(ManagementApi):
    """A console's API."""

    _base = "/api/console"
    _whose = "console"
    _kind = "console"
    _example = "http://host:8002"
    _option = "--console URL"
