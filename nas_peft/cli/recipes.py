"""``nas-peft recipes``: augmentations, class balances, recipes, times, methods and baselines."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.two_columns import Row, print_sections
from nas_peft.cli.user_errors import user_errors


def recipes(
    method: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD", help="Method or baseline to describe in full, with what is kept of its paper."
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List what a training can be: augmentations, class balances, recipes, times, methods, baselines."""
    with user_errors(debug):
        import json

        from nas_peft.planning.levels import AUTOMATIC_LEVEL, IMAGES, LEVELS
        from nas_peft.settings.recipe_catalogue import (
            ABOUT_AUGMENTATIONS,
            ABOUT_CLASS_BALANCES,
            baselines,
            methods,
            times,
        )
        from nas_peft.settings.whole_recipes import RECIPES
        from search_spaces.errors import unknown_name

        all_methods = {m["name"]: m for m in methods()}
        all_baselines = {b["name"]: b for b in baselines()}
        if method is not None:
            if method not in all_methods | all_baselines:
                raise unknown_name("method", method, {**all_methods, **all_baselines})
            baseline = all_baselines.get(method)
            trained = all_methods[method if baseline is None else baseline["method"]]
            if as_json:
                print(json.dumps({"baseline": baseline, "method": trained}, indent=1))
            else:
                print_sections({(baseline or trained)["label"]: _in_full(baseline, trained)})
            return
        if as_json:
            found: dict[str, Any] = {
                "augmentations": ABOUT_AUGMENTATIONS,
                "class_balances": ABOUT_CLASS_BALANCES,
                "recipes": {r.name: {"about": r.about, "options": dict(r.options)} for r in RECIPES.values()},
                "times": times(),
                "levels": [dict(level) for level in LEVELS],
                "automatic_level": AUTOMATIC_LEVEL,
                "methods": list(all_methods.values()),
                "baselines": list(all_baselines.values()),
            }
            print(json.dumps(found, indent=1))
            return
        print_sections(
            {
                "Augmentations (--augmentation)": list(ABOUT_AUGMENTATIONS.items()),
                "Class balances (--class-balance)": list(ABOUT_CLASS_BALANCES.items()),
                "Recipes (--recipe)": [(r.name, r.about) for r in RECIPES.values()],
                "Times (--time, --preset)": list(times().items()),
                "Levels of effort (a time takes the highest that fits)": [
                    *_levels(LEVELS),
                    ("auto", f"at most level {AUTOMATIC_LEVEL}"),
                    ("epochs", f"those of {IMAGES} training images or more; fewer are trained on for longer"),
                ],
                "Methods of training (nas-peft recipes METHOD says more)": [
                    (m["name"], f"{m['label']}: trains {m['trains']}; {_rate(m)}")
                    for m in all_methods.values()
                ],
                "Baselines (--baselines)": [(b["name"], _baseline(b)) for b in all_baselines.values()],
            }
        )


def _levels(levels: Any) -> list[Row]:
    """Each level, with the options in which it differs from the one before."""
    rows: list[Row] = []
    before: dict[str, Any] = {}
    for number, level in enumerate(levels, 1):
        changed = {name: value for name, value in level.items() if before.get(name) != value}
        rows.append((f"level {number}", " ".join(_option(name, value) for name, value in changed.items())))
        before = level
    return rows


def _option(name: str, value: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return flag
    return f"{flag} {','.join(map(str, value)) if isinstance(value, tuple) else value}"


def _rate(method: dict[str, Any]) -> str:
    if method["learning_rate"] is None:
        return "learning rate chosen on validation data"
    return f"peak learning rate {method['learning_rate']:g} ({method['option']})"


def _baseline(baseline: dict[str, Any]) -> str:
    return "; ".join(text for text in (baseline["label"], baseline["about"]) if text)


def _in_full(baseline: dict[str, Any] | None, method: dict[str, Any]) -> list[Row]:
    heads = {"briefly": "trained alone for --head-epochs first", "probe": "a whole linear probe first"}
    rows: list[Row] = [
        ("trains", method["trains"]),
        ("recipe", f"{_rate(method)}, AdamW, weight decay {method['weight_decay']:g}"),
        ("head", heads.get(method["head"], "trained from a random start")),
        ("paper", method["paper"]),
        ("kept of it", method["taken_over"]),
    ]
    if baseline is None or not baseline["kinds"]:
        return rows
    modules = f"{', '.join(baseline['kinds'])} of size {baseline['size']} in every layer"
    return [("modules", modules), ("size", baseline["about"]), *rows]
