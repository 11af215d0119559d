"""Sessions over HTTP: one begins by a link, tells who somebody is, and ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fengling_gateway.access.granted import Access, access_of
from fengling_gateway.access.parameters import json_body, no_other_parameters, text_up_to
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.access.throttle import SignInThrottle
from fengling_gateway.access.verifiers import as_kept
from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import ROLES, Operator
from fengling_gateway.model.management_tokens import ADMIN, MAX_TENANTS
from fengling_gateway.model.names import is_slug
from fengling_gateway.signin import links
from fengling_gateway.signin.desk import Desk, described, instant, write_json
from fengling_gateway.signin.lineage import via
from fengling_gateway.signin.links import Link, link_url, make_link, read_link
from fengling_gateway.signin.sessions import SOURCE
from fengling_gateway.signin.watch import SpentWatch

SESSION: Final = "/api/console/session"
LINKS: Final = "/api/console/login-links"


def _is_tenants(value: Any) -> bool:
    return type(value) is list and 1 <= len(value) <= MAX_TENANTS and all(map(is_slug, value))


_LINK_FIELDS: Final = {
    "role": lambda value: type(value) is str and value in ROLES,
    "subject": lambda value: type(value) is str and 1 <= len(value) <= 100,
    "name": text_up_to(200),
    "tenants": _is_tenants,
    "seconds": lambda value: type(value) is int and 1 <= value <= links.MAX_SECONDS,
}


class SessionApi:
    """
    Args:
        console: the address that links lead to; empty: whoever asks knows it.
    """

    def __init__(self, desk: Desk, watch: SpentWatch, *, console: str) -> None:
        self._desk = desk
        self._watch = watch
        self._console = console
        self._guesses = SignInThrottle()

    async def begin(self, request: Any) -> bytes:
        """Sign in whoever brings a link that was not used before. (Open: he has nothing else.)"""
        no_other_parameters(request, set())
        fields = json_body(request, {"link": text_up_to(4096)}, required={"link"})
        link = self._read(request, fields["link"])
        await self._use(request, link)
        try:
            operator = self._desk.welcome(request, link.person, how="link", via=link.via)
        except ValueError as error:
            raise ProblemError("link_refused", str(error)) from None
        return write_json(request, described(operator))

    def _read(self, request: Any, token: str) -> Link:
        desk = self._desk
        try:
            link = read_link(desk.sessions.ring, token, now=desk.now())
            for credential in link.via.split():
                person = as_kept(link.person, desk.around.kept(credential), desk.now())
                link = replace(link, person=person)
            return link
        except TokenError as error:
            # (A link that is good gets through, however many others guess.)
            if desk.turned_away(request, f"link_{error.code}", throttle=self._guesses):
                request.setHeader(b"retry-after", b"2")
                raise ProblemError("too_many_failures") from None
            raise ProblemError("link_refused", links.described(error)) from None

    async def _use(self, request: Any, link: Link) -> None:
        try:
            is_first = await self._watch.use_link(link.id, link.expires_at)
        except Exception:
            detail = (
                "the database does not answer, so that nobody knows if the link was used before"
            )
            raise ProblemError("source_unavailable", detail) from None
        if not is_first:
            self._desk.turned_away(request, "link_used")
            detail = "the link was used before; `fenglingctl login-link` makes another"
            raise ProblemError("link_refused", detail)

    def show(self, request: Any) -> bytes:
        """Tell who asks who he is: by a session, or by a token."""
        no_other_parameters(request, set())
        return write_json(request, described(access_of(request).operator))

    async def end(self, request: Any) -> bytes:
        """Sign out: here at once, at the other consoles within two seconds."""
        no_other_parameters(request, set())
        access = access_of(request)
        operator = access.operator
        if not operator.source.startswith(SOURCE):
            detail = "there is no session to end; `fenglingctl token revoke` is for tokens"
            raise ProblemError("conflict", detail)
        record = access.began("sign out", None)
        self._desk.sessions.clear(request)
        outcome = "done here"
        try:
            await self._watch.end_session(operator.token_id, operator.expires_at)
            outcome = "done"
        except Exception:
            detail = (
                "you are signed out here; the database does not answer, and the other consoles "
                "will know when it does"
            )
            raise ProblemError("source_unavailable", detail) from None
        finally:
            access.ended(record, outcome, None)
        request.setResponseCode(204)
        return b""

    def make_link(self, request: Any) -> bytes:
        """Make a link for whoever asks, or for somebody else; for no more than the asker may."""
        no_other_parameters(request, set())
        access = access_of(request)
        fields = json_body(request, _LINK_FIELDS, required=set())
        person = _person(access, fields)
        desk, seconds = self._desk, fields.get("seconds", links.USUAL_SECONDS)
        now = desk.now()
        try:
            token = make_link(
                desk.sessions.ring,
                person,
                now=now,
                seconds=seconds,
                via=via(access.operator),
            )
        except (ValueError, TokenError) as error:
            raise ProblemError("invalid_parameter", str(error)) from None
        record = access.began(f"make a login link for {person.subject} ({person.role})", None)
        access.ended(record, "done", None)
        answer = {
            "url": link_url(self._console, token),
            "subject": person.subject,
            "role": person.role,
            "expires_at": instant(now + seconds),
        }
        return write_json(request, answer, 201)


def _person(access: Access, fields: dict[str, Any]) -> Operator:
    """
    Return whom a link is to sign in.

    Raises:
        ProblemError: it would be more than the asker is, or somebody else.
    """
    asker = access.operator
    role = fields.get("role", asker.role)
    access.require(ROLES[role])
    subject = fields.get("subject", asker.subject)
    if subject != asker.subject:
        access.require(ADMIN)
        access.require_all_tenants()  # for history will say that it was that somebody else
    tenants = fields.get("tenants")
    if tenants is not None and asker.tenants is not None and not asker.tenants.issuperset(tenants):
        raise ProblemError("forbidden", "the link would be for other tenants than the credential")
    name = fields.get("name", asker.name if subject == asker.subject else "")
    person = replace(asker, subject=subject, name=name, scopes=frozenset((ROLES[role],)))
    return person.limited(tenants=tenants)
