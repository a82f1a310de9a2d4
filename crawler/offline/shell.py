"""``python -m crawler.offline.shell FOLDER [CODE]``: a prompt with a page at hand, or one expression; for ``crawl shell``.

FOLDER has ``page.html`` and ``page.json`` (`About`).
"""

from __future__ import annotations

import code
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from parsel import Selector, SelectorList

from crawler.parse import charset, html
from crawler.parse.document import Document
from crawler.parse.hook import Page

HISTORY: Final = 1000
"""Lines that the prompt remembers from one session to the next."""
MAX_LINKS: Final = 10_000
HELP: Final = """\
  page              the page: page.url  page.html  page.text  page.jsonld  page.opengraph  page.meta  page.urljoin("…")
  css("h1::text")   what CSS selects; .get() is the first as text, .getall() all of them
  xpath("//h1")     what XPath selects
  links()           the page's links
  view(css("h1"))   what a selector found, one a line
  help_me()         this text; Ctrl-D leaves"""


class About(Struct, frozen=True):
    """What is known of the page beside its body."""

    url: str
    content_type: str | None = None
    status: int | None = None


def main(arguments: list[str]) -> int:
    """Open the prompt, or print one expression."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who started us ignores it meanwhile
    folder = Path(arguments[0])
    about = msgspec.json.decode((folder / "page.json").read_bytes(), type=About)
    names = namespace((folder / "page.html").read_bytes(), about)
    if len(arguments) > 1:
        return _one(arguments[1], names)
    answered = f" (HTTP {about.status})" if about.status is not None else ""
    banner = f"{about.url}{answered}\n\n{HELP}\n"
    if not _ptpython(names, banner):
        with _history():
            code.interact(banner, local=names, exitmsg="")
    return 0


def namespace(body: bytes, about: About) -> dict[str, Any]:
    """Return what the prompt knows."""
    text, _ = charset.to_utf8(body, charset.determine(body, about.content_type)[0])
    found = html.extract(text, about.url, agent_token="", max_links=MAX_LINKS, want_links=True)
    page = Page(Document(text, about.url), found.links)
    names = {"page": page, "css": page.css, "xpath": page.xpath, "links": page.links, "view": _view, "help_me": _help_me}
    return {**names, "__name__": "__console__"}


def told(result: Any) -> str:
    """Return a result for people and pipes: what was selected, one match a line; text as it is."""
    if isinstance(result, Selector):
        return str(result.get())
    if isinstance(result, SelectorList):
        return "\n".join(str(match) for match in result.getall())
    if isinstance(result, list) and all(isinstance(element, str) for element in result):
        return "\n".join(result)
    return result if isinstance(result, str) else repr(result)


def _view(result: Any) -> None:
    sys.stdout.write(told(result) + "\n")


def _help_me() -> None:
    sys.stdout.write(HELP + "\n")


def _one(expression: str, names: dict[str, Any]) -> int:
    """Print one expression's value; a mistake in it is one line."""
    try:
        compiled = compile(expression, "-c", "eval")
        result = eval(compiled, names)  # noqa: S307 - it is the user's own
    except Exception as error:
        sys.stderr.write(f"crawl: -c: {type(error).__name__}: {error}\n")
        return 2
    if result is not None:
        sys.stdout.write(told(result) + "\n")
    return 0


def _ptpython(names: dict[str, Any], banner: str) -> bool:
    """Use ptpython where it is installed and there is a terminal; say whether."""
    if not sys.stdin.isatty():
        return False
    try:
        from ptpython.repl import embed  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    opened: Callable[..., Any] = embed
    sys.stdout.write(banner + "\n")
    opened(names, names, history_filename=str(_history_file()), configure=_without_question)
    return True


def _without_question(prompt: Any) -> None:
    """Let Ctrl-D leave at once, as in the plain prompt."""
    prompt.confirm_exit = False


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Keep the lines of the prompt, where the system has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    import rlcompleter  # noqa: F401 - it registers itself

    readline.parse_and_bind("tab: complete")
    readline.set_history_length(HISTORY)
    file = _history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(file)


def _history_file() -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "crawl"
    with contextlib.suppress(OSError):
        state.mkdir(parents=True, exist_ok=True)
    return state / "shell-history"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
