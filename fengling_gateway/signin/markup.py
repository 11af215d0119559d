"""The pages of signing in: a few lines of HTML, and what they may load."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load (CSP): its own files, and what its own script asks this console for."""

_PAGES: Final = Path(__file__).parent / "pages"

FILES: Final = {
    b"/login/signin.js": (b"text/javascript; charset=utf-8", _PAGES / "signin.js"),
    b"/login/signin.css": (b"text/css; charset=utf-8", _PAGES / "signin.css"),
}
"""By path: of what type, and where."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Fengling Gateway</title>
<link rel="stylesheet" href="/login/signin.css">
{head}</head>
<body data-to="{to}">
<main>
<h1>Fengling Gateway</h1>
{body}
</main>
</body>
</html>
"""


def login_page(to: str, provider: tuple[str, str] | None) -> bytes:
    """
    Return the page where somebody signs in.

    Args:
        to: where to go then.
        provider: what it is called, and the address of this console where one begins; None:
            there are links alone.
    """
    script = '<script type="module" src="/login/signin.js"></script>\n'
    body = '<p id="note" class="quiet" role="status">Sign in to the console.</p>\n<div id="ways">'
    if provider is not None:
        name, start = provider
        body += _button(f"Sign in with {name}", f"{start}?to={quote(to, safe='')}")
    body += (
        '<p class="quiet">Or by a link that is good once: <code>fenglingctl login-link</code> '
        "prints one.</p>"
        "<noscript><p>Links need JavaScript.</p></noscript></div>"
    )
    return _page("Sign in", body, to=to, head=script)


def onward_page(to: str) -> bytes:
    """
    Return the page of somebody who has signed in with a provider.

    It is a page, and no redirect: what begins here is begun by ourselves, so that browsers send
    the strict cookie along.
    """
    head = f'<meta http-equiv="refresh" content="0; url={escape(to)}">\n'
    body = f'<p role="status">You are signed in.</p>{_button("Go on", to)}'
    return _page("Signed in", body, to=to, head=head)


def refused_page(why: str, again: str) -> bytes:
    """Return the page of somebody who could not be signed in."""
    body = f'<p class="wrong" role="alert">{escape(_sentence(why))}</p>{_button("Back", again)}'
    return _page("Not signed in", body, to="/", head="")


def _button(text: str, href: str) -> str:
    return f'<a class="button" href="{escape(href)}">{escape(text)}</a>'


def _page(title: str, body: str, *, to: str, head: str) -> bytes:
    return _PAGE.format(title=escape(title), body=body, to=escape(to), head=head).encode()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
