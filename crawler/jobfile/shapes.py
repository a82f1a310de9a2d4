"""Values of a job file against the types they become: every mistake by its path, in plain words.

msgspec tells one mistake at a time, in its own words and without the keys of dictionaries; what a type asks for is read from it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import inspect

from crawler.jobfile.lines import Path
from crawler.jobfile.mistakes import Mistake, meant, nearest

_NAMES: Final = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
_LARGE: Final = 1e9  # limits from here on are about exactness, and not worth telling


def table_mistakes(table: dict[str, Any], kind: type[msgspec.Struct], path: Path, what: str) -> Iterator[Mistake]:
    """Yield what is wrong with a table that is to become a struct of `kind`; `what` names one of its keys, as "setting"."""
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    yield from _struct(table, shape, path, what)


def value_mistakes(value: Any, shape: inspect.Type, path: Path, example: Any = None) -> Iterator[Mistake]:
    """Yield what is wrong with a value; `example` is one that would do."""
    choices = [one for one in (shape.types if isinstance(shape, inspect.UnionType) else (shape,)) if not isinstance(one, inspect.NoneType)]
    if value is None and isinstance(shape, inspect.UnionType) and len(choices) < len(shape.types):
        return
    fitting = [one for one in choices if _fits(value, one)]
    if not fitting:
        wanted = " or ".join(dict.fromkeys(map(_described, choices)))
        yield Mistake(path, f"must be {wanted}, not {_name(value)}{_as_in(path, example)}")
        return
    chosen = fitting[0]
    if isinstance(chosen, inspect.ListType):
        for number, item in enumerate(value):
            yield from value_mistakes(item, chosen.item_type, (*path, number))
    elif isinstance(chosen, inspect.DictType):
        for key, item in value.items():
            yield from value_mistakes(item, chosen.value_type, (*path, key))
    elif isinstance(chosen, inspect.StructType):
        yield from _struct(value, chosen, path, "key")
    elif (problem := _refused(value, chosen, _as_in(path, example))) is not None:
        yield Mistake(path, problem)


def _struct(table: dict[str, Any], shape: inspect.StructType, path: Path, what: str) -> Iterator[Mistake]:
    fields = {field.encode_name: field for field in shape.fields}
    for key, value in table.items():
        field = fields.get(key)
        if field is None:
            prefix = f"{path[-1]}." if len(path) == 1 else ""
            close = nearest(key, fields)
            hint = f"did you mean {prefix}{close}?" if close else f"there are {', '.join(fields)}"
            yield Mistake((*path, key), f"unknown {what}; {hint}")
        else:
            yield from value_mistakes(value, field.type, (*path, key), field.default)
    for name, field in fields.items():
        if field.required and name not in table:
            yield Mistake(path, f"{name} is missing: {_described(field.type)}")


def _fits(value: Any, shape: inspect.Type) -> bool:
    """Tell whether a value is of the kind that a type asks for, whatever its limits."""
    kinds: dict[type, tuple[type, ...]] = {
        inspect.BoolType: (bool,),
        inspect.IntType: (int,),
        inspect.FloatType: (int, float),
        inspect.StrType: (str,),
        inspect.LiteralType: (str,),
        inspect.ListType: (list,),
        inspect.DictType: (dict,),
        inspect.StructType: (dict,),
    }
    wanted = kinds.get(type(shape))
    return wanted is None or (type(value) in wanted)


def _refused(value: Any, shape: inspect.Type, as_in: str) -> str | None:
    """Say how a value of the right kind breaks its type's limits, or return None."""
    if isinstance(shape, inspect.LiteralType):
        words = [str(one) for one in shape.values]
        if value in words:
            return None
        return f"{value!r} is none of {_listed(words)}; {meant(value, words, f'choose one{as_in}')}"
    if isinstance(shape, (inspect.IntType, inspect.FloatType)):
        return None if _within(value, shape) else f"must be {_described(shape)}, not {value}{as_in}"
    try:
        if isinstance(shape, inspect.StrType):
            msgspec.convert(value, _constrained(shape))
    except msgspec.ValidationError:
        return f"must be {_described(shape)}{as_in}"
    return None


def _constrained(shape: inspect.StrType) -> Any:
    meta = msgspec.Meta(min_length=shape.min_length, max_length=shape.max_length, pattern=shape.pattern)
    return Annotated[str, meta]


def _within(value: float, shape: inspect.IntType | inspect.FloatType) -> bool:
    """Tell whether a number is within its limits; one that is not a number never is."""
    return (
        value == value  # noqa: PLR0124 - NaN is not equal to itself
        and (shape.ge is None or value >= shape.ge)
        and (shape.gt is None or value > shape.gt)
        and (shape.le is None or value <= shape.le)
        and (shape.lt is None or value < shape.lt)
    )


def _described(shape: inspect.Type) -> str:
    """Say in words what a type asks for."""
    match shape:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _number(shape)
        case inspect.StrType():
            return "text of printable ASCII characters" if shape.pattern else "text" if not shape.min_length else "text that is not empty"
        case inspect.LiteralType():
            return f"one of {_listed([str(one) for one in shape.values])}"
        case inspect.ListType():
            item = _described(shape.item_type)
            return f"a list of {'texts' if item == 'text' else 'such: ' + item}"
        case inspect.UnionType():
            return " or ".join(_described(one) for one in shape.types if not isinstance(one, inspect.NoneType))
        case inspect.DictType() | inspect.StructType():
            return "a table"
    return "another value"


def _number(shape: inspect.IntType | inspect.FloatType) -> str:
    kind = "a whole number" if isinstance(shape, inspect.IntType) else "a number"
    at_least = f"of at least {shape.ge:g}" if shape.ge is not None else f"above {shape.gt:g}" if shape.gt is not None else ""
    at_most = f"at most {shape.le:g}" if shape.le is not None and shape.le < _LARGE else ""
    return " ".join(filter(None, (kind, " and ".join(filter(None, (at_least, at_most))))))


def _listed(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _name(value: Any) -> str:
    """Name the kind of a value: never the value, which may be a secret."""
    return "nothing" if value is None else _NAMES.get(type(value), "a date")


def _as_in(path: Path, example: Any) -> str:
    """Return an example of the setting, if there is one to show."""
    if (
        not path
        or isinstance(path[-1], int)
        or example in (None, "", msgspec.NODEFAULT)
        or not isinstance(example, (bool, int, float, str))
    ):
        return ""
    return f", as in {path[-1]} = {msgspec.json.encode(example).decode()}"
