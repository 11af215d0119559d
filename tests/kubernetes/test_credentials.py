"""Tokens and authorities, from files that others write."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fengling_gateway.kubernetes.credentials import Credentials
from fengling_gateway.kubernetes.errors import ApiError
from tests.support.certificates import Authority


class CredentialsTests(SynchronousTestCase):
    """`Credentials`"""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.token = self.directory / "token"
        self.authorities = self.directory / "ca.crt"
        self.credentials = Credentials(token_file=self.token, ca_file=self.authorities)

    def test_token_is_read_again_when_its_file_is_another(self) -> None:
        """As the kubelet does it: a link to a directory is exchanged."""
        for number in (1, 2):
            (self.directory / f"v{number}").mkdir()
            (self.directory / f"v{number}" / "token").write_text(f"token-{number}\n")
        (self.directory / "data").symlink_to("v1")
        self.token.symlink_to("data/token")
        self.assertEqual(self.credentials.token(), "token-1")
        (self.directory / "next").symlink_to("v2")
        os.replace(self.directory / "next", self.directory / "data")
        self.assertEqual(self.credentials.token(), "token-2")

    def test_refused_token_is_read_again_in_any_case(self) -> None:
        """A clock may be too coarse for the file to look like another one."""
        self.token.write_text("token-1")
        self.assertEqual(self.credentials.token(), "token-1")
        mark = self.token.stat()
        self.token.write_text("token-2")
        os.utime(self.token, ns=(mark.st_atime_ns, mark.st_mtime_ns))
        self.assertEqual(self.credentials.token(), "token-1")
        self.credentials.forget()
        self.assertEqual(self.credentials.token(), "token-2")

    def test_authorities_are_made_once_for_each_content(self) -> None:
        """They are slow to read."""
        self.authorities.write_bytes(Authority().pem)
        first = self.credentials.policy()
        self.assertIs(self.credentials.policy(), first)
        self.authorities.write_bytes(Authority("Another one").pem + Authority().pem)
        self.assertIsNot(self.credentials.policy(), first)

    def test_files_that_are_of_no_use_are_named(self) -> None:
        """With what is wrong."""
        cases = {b"": "has no token", b"a b": "no token", "ключ".encode(): "no token"}
        for content, words in cases.items():
            self.token.write_bytes(content)
            error = self.assertRaises(ApiError, self.credentials.token)
            self.assertIn(words, str(error))
            self.assertIn(str(self.token), str(error))
        self.token.unlink()
        self.assertIn("No such file", str(self.assertRaises(ApiError, self.credentials.token)))
        self.authorities.write_bytes(b"-----BEGIN NONSENSE-----")
        self.assertIn("in PEM", str(self.assertRaises(ApiError, self.credentials.policy)))
        self.authorities.write_bytes(b"x" * 1024 * 1024 + b"x")
        self.assertIn("more than", str(self.assertRaises(ApiError, self.credentials.policy)))

    def test_file_that_is_repaired_is_read(self) -> None:
        """A failure is not remembered."""
        self.assertRaises(ApiError, self.credentials.token)
        self.token.write_text("token-1")
        self.assertEqual(self.credentials.token(), "token-1")

    def test_neither_is_needed(self) -> None:
        """Behind a proxy that has them, and where the system's authorities do."""
        none = Credentials(token_file=None, ca_file=None)
        self.assertIsNone(none.token())
        self.assertIs(none.policy(), none.policy())
        none.forget()
