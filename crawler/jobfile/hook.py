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
        if not any(_may_define_parse(statement) for statement in module.body):
            yield Mistake(("hook",), f"{file.name} has no function parse(page); add one that yields items and links")


def _may_define_parse(statement: ast.stmt) -> bool:
    """Say whether a statement of a module can bring ``parse``: of branches, loops and stars that is not known before it runs."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name == "parse"
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            return any((alias.asname or alias.name) in ("parse", "*") for alias in names)
        case ast.Assign(targets=targets):
            return any(node.id == "parse" for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name == "parse"
    return isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While))
