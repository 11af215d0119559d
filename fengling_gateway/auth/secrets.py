"""
Secrets in the clear: in workers, and nowhere else.

The configuration has references and ciphertext (`fengling_gateway.model.certificates`
says in which forms); here they become bytes. Reading files is left to who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fengling_gateway.auth.keys import SecretKey
from fengling_gateway.auth.sealing import MAX_SECRET_BYTES, Sealer, SealError


class SecretError(Exception):
    """A secret can't be had on this host. The message names it and never its content."""


class SecretResolver:
    """
    Makes bytes of the values of secrets.

    Args:
        keys: what opens encrypted ones.
        read_file: returns a file's content, of which more than
            `MAX_SECRET_BYTES` need not be read; raises `OSError`.
        environment: for ``env:``; a worker's own.
    """

    def __init__(
        self,
        keys: Iterable[SecretKey],
        *,
        read_file: Callable[[str], bytes],
        environment: Mapping[str, str],
    ) -> None:
        self._sealer = Sealer(keys, random_bytes=_no_randomness)
        self._read_file = read_file
        self._environment = environment

    def __repr__(self) -> str:
        return f"<SecretResolver {self._sealer!r}>"

    def resolve(self, secret_id: str, value: str) -> bytes:
        """
        Return a secret's content.

        Raises:
            SecretError: it can't be had here, and why.
        """
        form, _, rest = value.partition(":")
        try:
            if form == "file":
                return self._file(rest)
            if form == "env":
                return self._variable(rest)
            return self._sealer.open(secret_id, value)
        except SealError as error:
            raise SecretError(f"secret {secret_id} {error}") from None

    def _file(self, path: str) -> bytes:
        try:
            content = self._read_file(path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SealError(f"can't be read from {path}: {reason}") from None
        if len(content) > MAX_SECRET_BYTES:
            raise SealError(f"is larger than {MAX_SECRET_BYTES} bytes ({path})")
        if not content:
            raise SealError(f"is empty ({path})")
        return content

    def _variable(self, name: str) -> bytes:
        content = self._environment.get(name)
        if not content:
            what = "is not set" if content is None else "is empty"
            raise SealError(f"is in the variable {name}, which {what} for this process")
        if len(content) > MAX_SECRET_BYTES:
            raise SealError(f"is larger than {MAX_SECRET_BYTES} bytes ({name})")
        return content.encode(errors="surrogateescape")


def _no_randomness(_count: int) -> bytes:
    raise AssertionError("a resolver seals nothing")
