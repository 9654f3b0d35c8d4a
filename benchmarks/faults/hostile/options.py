"""Hostile options of every command, made from the settings' fields and the commands' parameters."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import numpy as np
import typer

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground, search_words, words
from benchmarks.faults.hostile.texts import one_of, word_for
from nas_peft.cli.app import app
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig

_LONG_WORK = ("compile", "data_parallel", "workers", "image_size", "no_retrain", "help", "debug", "time")
"""Options that are not drawn for a search: accepted values start processes, or compile for a minute."""

_BY_COMMAND = ("front", "audit", "compare", "predict", "evaluate", "export", "serve")


def hostile_search(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A short search with one to three hostile options; it ends with a result where all are allowed."""
    fields = {name: field for name, field in SearchConfig.model_fields.items() if name not in _LONG_WORK}
    names = [name for name, f in fields.items() if not f.json_schema_extra] + ["storage", "study", "device"]
    changed: dict[str, Any] = {}
    for name in rng.choice(names, int(rng.integers(1, 4)), replace=False):
        option = str(name).replace("_", "-")
        kind = fields[name].annotation if name in fields else str
        if kind is bool:
            continue
        changed[option.removesuffix("s") if option == "module-files" else option] = word_for(rng, kind)
    about = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    out = ground.here / "run"
    return Hostile(about, search_words(ground.images, out, changed), at_once=False)


def hostile_words(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A search or baselines on missing data with hostile options: each mistake must be said at once."""
    command, config = one_of(rng, (("search", SearchConfig), ("baselines", BaselinesConfig)))
    options: dict[str, Any] = {"dataset": "/nowhere/data"}
    for name in rng.choice(list(config.model_fields), 3, replace=False):
        if config.model_fields[str(name)].annotation is not bool and str(name) != "fixed":
            options[str(name).replace("_", "-")] = word_for(rng, config.model_fields[str(name)].annotation)
    options["dataset"] = one_of(
        rng, ("/nowhere/data", "", "..", "torch/", "a\nb", "digitz", "\udc80", "~nobody")
    )
    extra = one_of(rng, ([], ["--bogus"], ["--bogus=1"], ["extra"], ["--"], ["-x"], ["--no-such-flag"], [""]))
    given = [command, *words(options), *extra]
    return Hostile(f"{command} {options} {extra}", given, must_fail=True, at_once=True)


def hostile_command(rng: np.random.Generator, ground: Ground) -> Hostile:
    """Another command with hostile values of its own parameters."""
    name = str(one_of(rng, _BY_COMMAND))
    group: Any = typer.main.get_command(app)
    parameters = [p for p in group.commands[name].params if p.name not in ("debug", "help")]
    annotations = inspect.signature(group.commands[name].callback, eval_str=True).parameters
    arguments: list[str] = []
    options: list[str] = []
    several = int(rng.integers(1, 3))
    drawn = {str(p) for p in rng.choice([p.name for p in parameters], several, replace=False)}
    for parameter in parameters:
        kind = get_args(annotations[parameter.name].annotation)[0]
        value = word_for(rng, kind) if parameter.name in drawn else _good(name, parameter.name, ground)
        if value is None or (parameter.param_type_name == "option" and parameter.is_flag):
            continue
        if parameter.param_type_name == "argument":
            arguments.append(value)
        elif parameter.name not in _NEVER:
            options += [parameter.opts[0], value]
    given = [name, *options, "--", *arguments]
    return Hostile(f"{name} with {sorted(drawn)}", given, must_fail=name in ("serve", "audit"))


_NEVER = ("host", "port", "ray_address", "subnets", "seeds", "device", "license")
"""Parameters that are not drawn: with good ones beside them they would start a server or long trainings."""


def _good(command: str, parameter: str, ground: Ground) -> str | None:
    """A good value of a required parameter; ``None`` for one that may be left out."""
    known: dict[str, Path | str] = {
        "run": ground.run,
        "runs": ground.run,
        "paths": ground.subnet,
        "file": ground.subnet,
        "files": ground.subnet,
        "source": ground.run,
        "dataset": ground.images,
        "to": "subnet",
        "output": ground.here / "written.safetensors",
    }
    if command in ("serve", "audit"):  # with good values they would start a server, or trainings
        return "/nowhere" if parameter in known else None
    if command == "predict" and parameter == "output":
        return None
    return str(known[parameter]) if parameter in known else None
