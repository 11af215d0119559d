"""
The pages of the console: one HTML document, and the files that it loads.

The document is the same at every path that pages have; which page it is, its
script decides. Files are open to everybody: nothing in them is secret, and all that
is shown comes from the API, which asks who wants to know.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.api import Endpoint
from fengling_gateway.console.call import Call

FILES: Final = "/ui"
"""Below it are files; a prefix that the gate leaves open."""

PATHS: Final = (
    *("/", "/services", "/services/<id>", "/routes", "/routes/<id>"),
    *("/kubernetes", "/kubernetes/<namespace>/<name>"),
    *("/history", "/history/<id>", "/explain", "/fleet", "/settings"),
)
"""Where there are pages; ``/history/diff`` is one of ``/history/<id>``."""

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What a page may load: its own files alone. No text can become markup or a script."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD: Final = b"public, max-age=31536000, immutable"
_NEVER: Final = b"no-store"

_DIRECTORY: Final = Path(__file__).parent / "pages"
_MODULE: Final = '<link rel="modulepreload" href="{}">'
_GZIP: Final = re.compile(
    rb"(?:^|[,\s])gzip\s*(?:$|,|;(?!\s*q=0(?:\.0*)?\s*(?:$|,)))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class File:
    """A file, as it is and compressed."""

    content_type: str
    content: bytes
    compressed: bytes

    @classmethod
    def of(cls, name: str, content: bytes) -> File:
        content_type = _TYPES[Path(name).suffix]
        return cls(content_type, content, gzip.compress(content, mtime=0))


class Pages:
    """
    Serves the pages.

    Addresses of files have the hash of all of them in it, so browsers keep them for good, and
    never mix two versions.
    """

    def __init__(self, directory: Path = _DIRECTORY) -> None:
        contents = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.suffix in _TYPES
        }
        self.version = _hash(contents)
        index = self._index(contents.pop("index.html").decode(), sorted(contents))
        self._index_file = File.of("index.html", index)
        self._files = {name: File.of(name, content) for name, content in contents.items()}

    def __repr__(self) -> str:
        return f"<Pages {self.version} {len(self._files)} files>"

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return where everything is; paths are from the root."""
        return (
            *(Endpoint("GET", f"/{path}", self.page) for path in PATHS),
            Endpoint("GET", f"/{FILES}/<version>/<path:name>", self.file),
        )

    def page(self, call: Call) -> bytes:
        """Return the document, to whoever has signed in."""
        call.request.setHeader(b"content-security-policy", POLICY)
        return _written(call.request, self._index_file, _NEVER)

    def file(self, call: Call) -> bytes:
        """Return a file; of another version than this, it is what this one has."""
        found = self._files.get(call.path["name"])
        if found is None:
            raise ProblemError("not_found")
        is_ours = call.path["version"] == self.version
        return _written(call.request, found, _FOR_GOOD if is_ours else _NEVER)

    def _index(self, template: str, names: list[str]) -> bytes:
        """Fill in addresses; modules are named so that browsers ask for all of them at once."""
        root = f"{FILES}/{self.version}"
        modules = [f"{root}/{name}" for name in names if name.startswith("js/")]
        preloads = "\n".join(map(_MODULE.format, modules))
        return template.replace("{root}", root).replace("{preloads}", preloads).encode()


def _hash(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _written(request: Any, file: File, cache: bytes) -> bytes:
    accepted = b",".join(request.requestHeaders.getRawHeaders(b"accept-encoding") or [])
    body = file.content
    if _GZIP.search(accepted):
        body = file.compressed
        request.setHeader(b"content-encoding", b"gzip")
    request.setHeader(b"vary", b"accept-encoding")
    request.setHeader(b"cache-control", cache)
    request.setHeader(b"content-type", file.content_type.encode())
    request.setHeader(b"content-length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body
