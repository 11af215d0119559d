"""Reads the files that secrets refer to."""

from __future__ import annotations

import errno
import os
import stat

from fengling_gateway.auth.sealing import MAX_SECRET_BYTES


def read_secret_file(path: str) -> bytes:
    """
    Return the content of a file, of a larger one its beginning and one byte more than it may have.

    On the reactor's thread: it is small and local, or should be.

    Raises:
        OSError: it can't be read, or is no regular file.
    """
    # (Not blocking: a pipe would keep a worker waiting for its writer.)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read(MAX_SECRET_BYTES + 1)
