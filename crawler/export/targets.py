"""Whether an output could be written where it is to go, asked before the work that leads to it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from crawler.errors import UsageError
from crawler.export.formats import OBJECT_SCHEMES, Output, check_installed
from crawler.export.places import refuse_foreign


def check_target(output: Output, *, overwrite: bool) -> None:
    """Raise UsageError for an output that could not be written, or is there already and may not be replaced.

    Also StoreError, when the database or store that an address names cannot be reached.
    """
    check_installed(output)
    if output.is_local:
        _check_path(output, Path(output.target), overwrite=overwrite)
        _check_index(output, overwrite=overwrite)
    elif output.scheme in OBJECT_SCHEMES:
        importlib.import_module("crawler.export.objects").check_object(output, overwrite=overwrite)
    elif output.scheme:
        importlib.import_module("crawler.export.postgres").check_postgres(output.target)


def index_of(output: Output) -> Path | None:
    """Return the file that is written beside an output in the same go, the index of a WARC file; None where there is none."""
    if output.format.name != "warc" or not output.is_local:
        return None
    index: Path = importlib.import_module("crawler.export.warc").index_beside(Path(output.target))
    return index


def _check_index(output: Output, *, overwrite: bool) -> None:
    index = index_of(output)
    if index is None or not (index.exists() or index.is_symlink()):
        return
    if not index.is_file():
        raise UsageError(f"--output {output.target}: its index goes to {index}, which is not a regular file; choose another name")
    if index.stat().st_size and not overwrite:
        raise UsageError(f"--output {output.target}: its index goes to {index}, which exists already; choose another name, or --overwrite")


def _check_path(output: Output, path: Path, *, overwrite: bool) -> None:
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"--output {path}: the folder {parent} does not exist; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"--output {path}: the folder {parent} cannot be written")
    if output.is_folder:
        refuse_foreign(path)
    elif path.is_dir():
        raise UsageError(f"--output {path}: is a folder; name a file in it")
    elif path.exists() and not path.is_file():
        raise UsageError(f"--output {path}: is not a regular file; name another")
    empty = path.is_file() and not path.stat().st_size  # made for us, as mktemp does
    if (path.exists() or path.is_symlink()) and not empty and not overwrite:
        raise UsageError(f"--output {path}: exists already; choose another name, or --overwrite replaces it")
