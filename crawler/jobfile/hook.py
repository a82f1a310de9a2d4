"""The hook that a job names, looked at without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from crawler.extract.rules import Extraction
from crawler.jobfile.mistakes import Mistake


def hook_mistakes(document: dict[str, Any], extraction: Extraction) -> Iterator[Mistake]:
    """Yield what keeps the file of a hook from being one: it is not there, is not Python, or has no ``parse``."""
    if extraction.hook is None or not extraction.hook.endswith(".py"):
        return
    file = File(extraction.hook)
    try:
        module = ast.parse(file.read_bytes(), str(file))
    except OSError:
        yield Mistake(("hook",), f"there is no file {document['hook']} that can be read; a path counts from the job file's folder")
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        yield Mistake(("hook",), f"{file.name}{line}: not Python: {message}; correct that line")
    else:
        if "parse" not in {name for statement in module.body for name in _defined(statement)}:
            yield Mistake(("hook",), f"{file.name} has no function parse(page); add one that yields items and links")


def _defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    match statement:
        case ast.FunctionDef(name=name):
            return [name]
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []
