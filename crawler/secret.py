"""Secrets are named, not written: settings say where one is (``env:NAME``, ``file:PATH``), and it is read only where it is used.

No message here holds a secret: not the value read, nor a reference that might be a password somebody wrote in its place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from crawler.errors import UsageError

MAX_SECRET_BYTES: Final = 16384
"""Bytes of a file that holds a secret; a longer file is another one than was meant."""


def read_secret(reference: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the secret that ``env:NAME`` or ``file:PATH`` names; a file's last newline is cut off.

    `environment` stands in for the process's own. Raises UsageError naming the variable or the file: it is missing, unreadable, empty,
    or holds control characters, with which a header could be ended.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        secret = (os.environ if environment is None else environment).get(name)
        if secret is None:
            raise UsageError(f"the environment variable {name} is not set: it should hold a secret")
        return _checked(secret, f"the environment variable {name}")
    if kind == "file" and name:
        return _checked(_read_file(name), f"the file {name}")
    raise UsageError("a secret is named, not written: give env:NAME, an environment variable, or file:PATH, a file that holds it")


def _read_file(name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of nobody; ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"the file {name}, which should hold a secret, cannot be read: {reason}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise UsageError(f"the file {name} is too long for a secret: more than {MAX_SECRET_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"the file {name}, which should hold a secret, is not UTF-8 text") from error
    return text.removesuffix("\n").removesuffix("\r")


def _checked(secret: str, place: str) -> str:
    if not secret:
        raise UsageError(f"{place} is empty: it should hold a secret")
    if not secret.isprintable():
        raise UsageError(f"{place} should hold a secret on one line, without control characters")
    return secret


def without_password(text: str) -> str:
    """Return what was given for a URL as it may be shown and logged."""
    return re.sub(r":(?!//).*@", ":…@", text, flags=re.DOTALL)
