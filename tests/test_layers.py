"""The house's own rules, read from its source: floors, circles, the reactor, sizes, annotations (docs/architecture.md, "Floors")."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "crawler"

FLOORS = {
    "cli": 11,
    "service": 10,
    "shards": 10,
    "build": 9,
    "engine": 8,
    "errands": 7,
    "visit": 6,
    "batch": 6,
    "export": 6,
    "offline": 6,
    "report": 6,
    "store": 5,
    "extras": 5,
    "frontier": 4,
    "fetch": 4,
    "parse": 4,
    "traffic": 4,
    "record": 4,
    "policy": 3,
    "job": 4,
    "jobfile": 5,
    "archive": 3,
    "extract": 3,
    "lag": 3,
    "lease": 3,
    "rate": 3,
    "outlinks": 4,
    "recent": 3,
    "url": 2,
    "config": 2,
    "secret": 2,
    "model": 1,
    "errors": 1,
}
"""The floor of each room: a package or a file directly below crawler/. A new room is entered here and in docs/architecture.md."""

STANDS_ON = {("visit", "store")}
"""Pairs on one floor of which the first may use the second; fetch, parse and frontier do not know each other."""

PARSERS = ("lxml", "selectolax", "parsel")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"), FILES[module])


def imported_names(module: str) -> Iterator[str]:
    """Yield the dotted names a module imports, wherever the statement stands: also in functions and under TYPE_CHECKING."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def owner(name: str) -> str | None:
    """Return our module that a dotted name lives in: ``crawler.url.canonicalise`` is in ``crawler.url``."""
    while name not in FILES:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


def dependencies(module: str) -> set[str]:
    return {found for name in imported_names(module) if (found := owner(name)) and found != module}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(module: str) -> int:
    """Return a module's floor; the bare package ``crawler`` (its version) lies below all."""
    return FLOORS[room(module)] if room(module) else 0


def test_every_room_has_a_floor() -> None:
    assert FILES, "no source found"
    assert {room(module) for module in FILES} - {""} <= FLOORS.keys()


def test_imports_run_downward() -> None:
    upward = [
        f"{module} (floor {floor(module)}) imports {other} (floor {floor(other)})"
        for module in FILES
        for other in dependencies(module)
        if room(other) != room(module) and floor(other) >= floor(module) and (room(module), room(other)) not in STANDS_ON
    ]
    assert not upward, "\n".join(upward)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, or nothing: whatever is left when modules without open imports are taken away."""
    left = dict(graph)
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


def test_no_circle_in_any_mode() -> None:
    assert circle({module: dependencies(module) for module in FILES}) == []


def test_circle_finds_one() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_the_reactor_is_imported_by_entry_points_alone() -> None:
    offenders = [
        module
        for module in FILES
        for name in imported_names(module)
        if (name + ".").startswith("twisted.internet.reactor.") and room(module) != "cli"
    ]
    assert not offenders


def test_only_the_command_line_prints() -> None:
    offenders = [
        f"{FILES[module]}:{node.lineno}"
        for module in FILES
        if room(module) != "cli"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not offenders


def test_no_file_is_long() -> None:
    long = [str(path) for path in FILES.values() if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE_LINES]
    assert not long


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, path in FILES.items():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def test_no_function_is_long() -> None:
    long = [place for place, node in functions() if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES]
    assert not long


def test_every_function_is_annotated() -> None:
    bare = []
    for place, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        unmarked = [a.arg for a in arguments if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        if unmarked or (node.returns is None and node.name != "__init__"):
            bare.append(f"{place} {unmarked}")
    assert not bare


def reachable(start: str) -> set[str]:
    """Return a module and all of ours that importing it loads, packages included."""
    found: set[str] = set()
    todo = [start]
    while todo:
        module = todo.pop()
        if module in found:
            continue
        found.add(module)
        todo += dependencies(module)
        package = module.rpartition(".")[0]
        if package:
            todo.append(package)
    return found


def test_a_worker_never_reaches_twisted() -> None:
    twisted = [
        f"{module} imports {name}"
        for module in reachable("crawler.parse.worker")
        for name in imported_names(module)
        if name.partition(".")[0] in ("twisted", "treq")
    ]
    assert not twisted


def reactor_side() -> list[str]:
    """Return what the reactor's process may load: everything but the rooms of other processes, of which it has the pool."""
    return sorted(module for module in FILES if room(module) not in ("parse", "offline") or module == "crawler.parse.pool")


def test_the_reactor_process_never_reaches_a_parser() -> None:
    offenders = [
        f"{module} imports {name}"
        for module in sorted(set().union(*map(reachable, reactor_side())))
        for name in imported_names(module)
        if name.partition(".")[0] in PARSERS
    ]
    assert not offenders


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [(["crawler.parse.worker"], ("twisted", "treq")), (reactor_side(), PARSERS)],
    ids=["worker", "reactor process"],
)
def test_what_is_really_loaded(modules: list[str], unwanted: tuple[str, ...]) -> None:
    """The same two rules as the interpreter sees them, foreign packages included."""
    modules = [module for module in modules if not module.endswith("__main__")]
    program = f"import sys, {', '.join(modules)}\nprint(*sorted({{n.partition('.')[0] for n in sys.modules}} & set({unwanted})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
