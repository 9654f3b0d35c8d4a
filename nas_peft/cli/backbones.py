"""``nas-peft backbones``: pretrained Vision Transformers that ``--backbone`` can name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas_peft.cli.completion import completer
from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.two_columns import print_sections
from nas_peft.cli.user_errors import user_errors

MOST_CHECKED = 40
"""Architectures that are built to see whether they are supported, a fraction of a second each."""


def backbones(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Part of a name, such as dinov2, or a pattern such as 'vit_small*in21k'; lists the names "
            "of timm that match.",
            autocompletion=completer("backbone"),
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List pretrained backbones: families, or the names that match, and where their weights are.

    Weights that are not in the local cache are downloaded from the Hugging Face hub when first used. Names of
    the hub (hf-hub:OWNER/NAME) and folders (local-dir:FOLDER) work, too.
    """
    with user_errors(debug):
        import json

        found = _families() if pattern is None else _matching(pattern)
        if as_json:
            print(json.dumps(found, indent=1))
        elif pattern is None:
            _print_families(found)
        else:
            _print_names(found)


def _families() -> list[dict[str, Any]]:
    from nas_peft.machine.timm_names import FAMILIES, family_of, timm_names

    names = timm_names()
    by_family = {family: [name for name in names if family_of(name) == family] for family in FAMILIES}
    return [{"family": family, "names": of} for family, of in by_family.items() if of]


def _print_families(found: list[dict[str, Any]]) -> None:
    from nas_peft.settings.training_config import DEFAULT_BACKBONE, FOR_REAL_USE

    print_sections(
        {
            "Shipped with the package": [
                (DEFAULT_BACKBONE, "1.6 M parameters, pretrained at 32 pixels; for trying the tool")
            ],
            "Families of timm, with their numbers of pretrained weights": [
                (f["family"], f"{len(f['names'])}, such as {_usual(f['names'])}") for f in found
            ],
            "Then": [
                (
                    "nas-peft backbones PATTERN",
                    "names that match, whether they work, and their weights",
                ),
                (f"--backbone {FOR_REAL_USE}", "a good first choice with a GPU"),
            ],
        }
    )


def _usual(names: list[str]) -> str:
    """A name of middle size."""
    return next((name for size in ("small", "base", "large") for name in names if size in name), names[0])


def _matching(pattern: str) -> list[dict[str, Any]]:
    """The names of timm that match, each with what is known of it; ``supported`` is null if not checked."""
    import timm

    from nas_peft.machine.timm_names import MODULES
    from search_spaces import InputError
    from supernet.backbones import DEFAULT_BACKBONE, why_unsupported
    from supernet.hub_weights import weights_place

    names = [
        name
        for module in MODULES
        for name in timm.list_models(_as_filter(pattern), module=module, pretrained=True)
    ]
    if _matches(DEFAULT_BACKBONE, pattern):
        names.insert(0, DEFAULT_BACKBONE)
    if not names:
        raise InputError(
            f"no pretrained Vision Transformer of timm matches '{pattern}'; give a shorter part of a name, "
            "or leave it out for the families"
        )
    bases = dict.fromkeys(name.partition(".")[0] for name in names)
    checked = len(bases) <= MOST_CHECKED
    reasons = {base: why_unsupported(base) for base in bases} if checked else {}
    found = []
    for name in names:
        config: Any = timm.get_pretrained_cfg(name)
        reason = reasons.get(name.partition(".")[0])
        found.append(
            {
                "name": name,
                "pixels": list(config.input_size[1:]),
                "supported": reason is None if checked else None,
                "reason": reason,
                "weights": weights_place(name).place,
            }
        )
    return found


def _as_filter(pattern: str) -> str:
    return pattern if set("*?[") & set(pattern) else f"*{pattern}*"


def _matches(name: str, pattern: str) -> bool:
    from fnmatch import fnmatch

    return fnmatch(name, _as_filter(pattern))


def _print_names(found: list[dict[str, Any]]) -> None:
    places = {"cache": "in the cache", "hub": "to download", "package": "in the package"}
    rows = [
        (
            f["name"],
            f"{f['pixels'][0]}x{f['pixels'][1]} pixels, weights {places[f['weights']]}"
            + (f"; not supported: {f['reason']}" if f["supported"] is False else ""),
        )
        for f in found
    ]
    unchecked = "" if found[0]["supported"] is not None else "; a longer PATTERN says which work"
    print_sections({f"{len(rows)} names{unchecked}": rows})
