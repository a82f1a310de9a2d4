"""What files of the user's need before they are written."""

from __future__ import annotations

import os
from pathlib import Path

from crawler.errors import UsageError


def refuse_unwritable(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError when there is no folder for `path`, or it is something, and not a file that may be replaced."""
    if path.is_dir():
        raise UsageError(f"--output {path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise UsageError(f"--output {path}: is not a regular file; name another, or leave --output out and redirect standard output")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise UsageError(f"--output {path}: exists already; choose another name, or --overwrite replaces it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--output {path}: the folder {path.absolute().parent} does not exist; make it first")


def give_usual_mode(descriptor: int) -> None:
    """Let a temporary file be as readable as any new file of this process."""
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
