"""Objects in S3, Google Cloud Storage and Azure: made as files first, then put, in parts where they are large.

An output of one file becomes one object, one of several (a folder, a WARC with its index) objects below the same prefix. An object appears
when all of it has arrived. Credentials, region and endpoint come from the environment, as the clouds' own tools read them
(``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME``, …). obstore is an extra.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.errors import StoreError, UsageError
from crawler.export.formats import Output
from crawler.export.places import MARK

_IMPATIENT: Final[dict[str, Any]] = {"retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}}
"""How a store is asked before a crawl: somebody waits for the answer."""

_CREDENTIALS: Final = {
    "/latest/api/token": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "/computeMetadata/": "GOOGLE_APPLICATION_CREDENTIALS",
    "Account must be specified": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""What obstore says where the environment holds no credentials (it then asks the machine's own cloud), and what is to be set."""

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def write_object(output: Output, make: Callable[[Path], int]) -> int:
    """Let `make` write files into a folder that lasts as long, and put them at `output`; return what `make` returns.

    Objects that an earlier export left in the same folder are deleted. Raises StoreError when the store does not take them.
    """
    bucket, key = _bucket_and_key(output)
    with tempfile.TemporaryDirectory(prefix="crawl-") as place:
        made = Path(place) / Path(key).name
        count = make(made)
        parent = key.rpartition("/")[0]
        store = _open(output, bucket)
        try:
            _put_all(store, Path(place), parent)
            if output.is_folder:
                _delete_others(store, made, key)
        except _errors() as problem:
            raise StoreError(f"{output.target}: {_said(problem)}") from problem
    return count


def check_object(output: Output, *, overwrite: bool) -> None:
    """Raise UsageError when there is something at `output` already that may not be replaced, StoreError when the store cannot be asked."""
    import obstore

    bucket, key = _bucket_and_key(output)
    store = _open(output, bucket, **_IMPATIENT)
    try:
        if output.is_folder:
            names = {entry["path"] for batch in obstore.list(store, f"{key}/") for entry in batch}
            if names and f"{key}/{MARK}" not in names:
                raise UsageError(f"--output {output.target}: there are objects that no export of a crawl wrote; choose another name")
            found = bool(names)
        else:
            found = _is_there(store, key)
    except _errors() as problem:
        raise StoreError(f"--output {output.target}: {_said(problem)}") from problem
    if found and not overwrite:
        raise UsageError(f"--output {output.target}: exists already; choose another name, or --overwrite replaces it")


def _bucket_and_key(output: Output) -> tuple[str, str]:
    scheme, _, rest = output.target.partition("://")
    bucket, _, key = rest.partition("/")
    key = key.rstrip("/")
    if not bucket or not key:
        raise UsageError(f"--output {output.given}: name a bucket and an object: {scheme}://bucket/name{output.format.extensions[0]}")
    return f"{scheme}://{bucket}", key


def _errors() -> tuple[type[Exception], ...]:
    """Return what obstore raises: errors of its own, and Python's (not found, not permitted, no such option)."""
    from obstore.exceptions import BaseError

    return BaseError, OSError, ValueError


def _open(output: Output, bucket: str, **options: Any) -> ObjectStore:
    """Return the store. Without encryption only where the endpoint's address says so."""
    from obstore.store import from_url

    endpoints = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")
    if any(os.environ.get(name, "").startswith("http://") for name in endpoints):
        options["client_options"] = {"allow_http": True}
    try:
        return from_url(bucket, **options)
    except _errors() as problem:
        raise UsageError(f"--output {output.given}: {_said(problem)}") from problem


def _put_all(store: ObjectStore, place: Path, prefix: str) -> None:
    import obstore

    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        name = path.relative_to(place).as_posix()
        obstore.put(store, f"{prefix}/{name}" if prefix else name, path)


def _delete_others(store: ObjectStore, made: Path, key: str) -> None:
    import obstore

    ours = {f"{key}/{path.relative_to(made).as_posix()}" for path in made.rglob("*")}
    others = [entry["path"] for batch in obstore.list(store, f"{key}/") for entry in batch if entry["path"] not in ours]
    if others:
        obstore.delete(store, others)


def _is_there(store: ObjectStore, key: str) -> bool:
    """Say whether there is an object; raises FileNotFoundError when there is no bucket, as far as that may be asked."""
    import obstore

    try:
        obstore.head(store, key)
    except FileNotFoundError:
        with contextlib.suppress(PermissionError):
            next(iter(obstore.list(store, f"{key}/", chunk_size=1)), None)
        return False
    return True


def _said(problem: Exception) -> str:
    """Return what a service said, without obstore's account of its tries, or which credentials are missing."""
    text = str(problem)
    for sign, names in _CREDENTIALS.items():
        if sign in text:
            return f"no credentials were found: set {names} in the environment (docs/outputs.md)"
    said = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (said[1] if said else lines[0] if lines else type(problem).__name__)[:500]
