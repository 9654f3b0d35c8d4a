"""Searchers by name, and their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from nas_peft.searching.searchers.evolution import Evolution
from nas_peft.searching.searchers.noah import Noah
from nas_peft.searching.searchers.nsga2 import Nsga2
from nas_peft.searching.searchers.random_search import RandomSearch
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from nas_peft.searching.searchers.tpe import Tpe
from search_spaces import InputError, unknown_name

SEARCHERS: dict[str, Callable[..., Searcher]] = {
    "evolution": Evolution,
    "noah": Noah,
    "nsga2": Nsga2,
    "tpe": Tpe,
    "random": RandomSearch,
}


def register_searcher(name: str, searcher: Callable[..., Searcher]) -> None:
    """Make a searcher, a dataclass as described in `Searcher`, known to ``--searcher``.

    Raises ``ValueError`` for a name that is taken, and ``TypeError`` for any other class.
    """
    if name in SEARCHERS:
        raise ValueError(f"the searcher name '{name}' is taken; give the new searcher another name")
    if not _starts_with_task(searcher):
        raise TypeError(f"the searcher '{name}' must be a dataclass whose first field is 'task'")
    SEARCHERS[name] = searcher


def searches_front(name: str) -> bool:
    """Whether a searcher proposes from the whole range of sizes. Raises `InputError` for an unknown name."""
    option_names(name)
    return bool(getattr(SEARCHERS[name], "searches_front", False))


def option_names(name: str) -> tuple[str, ...]:
    """Names of a searcher's options. Raises `InputError` for an unknown searcher."""
    if name not in SEARCHERS:
        raise unknown_name("searcher", name, SEARCHERS)
    return tuple(field.name for field in fields(SEARCHERS[name]) if field.name != "task")  # type: ignore[arg-type]


def parse_options(name: str, text: str, own_flags: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a searcher from ``text`` (``NAME=VALUE,NAME=VALUE``), checked by their types.

    ``own_flags`` holds options that have their own command-line flag, with the given value or ``None``; these
    cannot be in ``text`` as well. Raises `InputError` for an unknown searcher, an option that the searcher
    does not have, an option given twice, and a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    names = option_names(name)
    found = {option: value for option, value in own_flags.items() if value is not None}
    for option in found:
        _require_option(name, option, names, f"leave {_flag(option)} out")
    hints = get_type_hints(SEARCHERS[name])
    for part in (p.strip() for p in text.split(",") if p.strip()):
        option, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise InputError(f"searcher_options has '{part}'; give NAME=VALUE,NAME=VALUE")
        _require_option(name, option, names, "give one of these")
        if option in own_flags:
            raise InputError(f"{option} has an option of its own; give {_flag(option)} {value}")
        if option in found:
            raise InputError(f"searcher_options has {option} twice; give it once")
        try:
            found[option] = TypeAdapter(hints[option]).validate_python(value)
        except ValidationError as error:
            message = error.errors()[0]["msg"].lower()
            raise InputError(f"searcher_options has {option}={value}: {message}") from error
    return found


def build_searcher(name: str, task: SearchTask, options: Mapping[str, Any]) -> Searcher:
    """The searcher called ``name``. Raises `InputError` for an unknown name or option, or a wrong value."""
    for option in options:
        _require_option(name, option, option_names(name), "give one of these")
    return SEARCHERS[name](task, **options)


def describe_searcher(name: str, searcher: Searcher) -> dict[str, Any]:
    """Name of a searcher and all its options with their values, for records; JSON-able if the options are."""
    return {"name": name, **{option: getattr(searcher, option) for option in option_names(name)}}


def _starts_with_task(searcher: object) -> bool:
    return isinstance(searcher, type) and is_dataclass(searcher) and fields(searcher)[0].name == "task"


def _require_option(name: str, option: str, names: tuple[str, ...], remedy: str) -> None:
    if option not in names:
        there_are = f"it has: {', '.join(names)}" if names else "it has none"
        raise InputError(f"the searcher '{name}' has no option '{option}', {there_are}; {remedy}")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
