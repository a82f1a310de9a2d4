"""``crawl config``: what the settings are, where each comes from, and whether a file is right."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from crawler.cli.quantities import plural
from crawler.config import config_file_from, environment_name, load
from crawler.errors import Exit


@click.group()
def command() -> None:
    """Show and check settings.

    A flag precedes the environment (CRAWL_SECTION__KEY), the environment the configuration file, the file the default.
    """


@command.command(short_help="Print every setting and where it comes from.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this file instead of the user's own.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(config_file: str | None, as_json: bool) -> Exit:
    """Print every setting, its value and where it comes from, as a configuration file."""
    file = Path(config_file) if config_file else config_file_from(os.environ)
    loaded = load(file=file, environment=os.environ)
    values = msgspec.to_builtins(loaded.settings)
    if as_json:
        flat = {f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()}
        rows = {dotted: {"value": value, "origin": loaded.origins[dotted]} for dotted, value in flat.items()}
        click.echo(msgspec.json.encode(rows).decode())
        return Exit.FINISHED
    for section, keys in values.items():
        click.echo(f"[{section}]")
        for key, value in keys.items():
            dotted = f"{section}.{key}"
            click.echo(f"{_line(key, value):<42}# {_origin(loaded.origins[dotted], dotted)}")
        click.echo()
    return Exit.FINISHED


def _line(key: str, value: object) -> str:
    """Return a setting as TOML; what has no value cannot be written there and stands as a comment."""
    if value is None:
        return f"# {key} ="
    return f"{key} = {_toml(value)}"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml(str(name))} = {_toml(item)}" for name, item in value.items() if item is not None)
        return f"{{ {inner} }}" if inner else "{}"
    return msgspec.json.encode(value).decode()  # strings, numbers, booleans and lists of them are written alike


def _origin(origin: str, dotted: str) -> str:
    if origin.endswith(f": {dotted}"):
        return origin.removesuffix(f": {dotted}")
    if origin.startswith("environment "):
        return environment_name(dotted)
    return origin


@command.command(short_help="Name every mistake in a configuration file.")
@click.argument("file", type=click.Path())
def check(file: str) -> Exit:
    """Read FILE as a configuration file and name every mistake in it."""
    from crawler.cli.run import check_hosts
    from crawler.fetch.sites import site_rule

    loaded = load(file=Path(file))
    check_hosts(loaded)
    for pattern, site in loaded.settings.fetch.sites.items():
        site_rule(pattern, site, lambda _reference: "unread")
    changed = [dotted for dotted, origin in loaded.origins.items() if origin != "default"]
    click.echo(f"{file}: no mistakes, {plural(len(changed), 'setting')}")
    return Exit.FINISHED
