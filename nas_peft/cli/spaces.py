"""``nas-peft spaces``: the presets of search spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_peft.cli.completion import completer
from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.two_columns import Row, print_sections
from nas_peft.cli.user_errors import user_errors

if TYPE_CHECKING:
    from search_spaces import BackboneShape, SearchSpace


def spaces(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE",
            help="Preset or YAML file to describe in full: kinds, their places in a layer, and sizes.",
            autocompletion=completer("space"),
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone to count on; by default ViT-B/16 (12 layers of width 768).",
            autocompletion=completer("backbone"),
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the search spaces that --space can name, with their numbers of architectures and parameters."""
    with user_errors(debug):
        import json

        from search_spaces import BackboneShape, load_space, preset_names

        shape = BackboneShape.vit(768)
        if backbone is not None:
            from supernet.backbones import shape_without_weights

            shape = shape_without_weights(backbone)
        found = [load_space(name, shape.depth) for name in ([space] if space else preset_names())]
        described = [_described(one, shape, places=space is not None) for one in found]
        if as_json:
            print(json.dumps(described, indent=1))
            return
        on = backbone or "ViT-B/16"
        if space is None:
            rows = [
                (one["name"], f"{_size(one)}; {', '.join(k['label'] for k in one['kinds'])}")
                for one in described
            ]
            print_sections({f"Spaces, counted on {on} (nas-peft spaces NAME says more)": rows})
        else:
            (one,) = described
            kinds: list[Row] = [
                (k["kind"], f"{k['label']}, {', '.join(k['places'])}: {_sizes(k)}") for k in one["kinds"]
            ]
            about: list[Row] = [("about", one["about"]), ("size", f"{_size(one)} on {on}")]
            print_sections({one["name"]: about, "Kinds, with their places and sizes in each layer": kinds})


def _described(space: SearchSpace, shape: BackboneShape, *, places: bool) -> dict[str, Any]:
    """What there is to say of a space; with ``places`` also where in a layer each kind is."""
    from search_spaces import KINDS, count_params

    kinds: list[dict[str, Any]] = [
        {
            "kind": kind,
            "label": KINDS[kind].label,
            "sizes": list(choices.sizes),
            "depths": None if choices.depths is None else list(choices.depths),
        }
        for kind, choices in space.kinds
    ]
    if places:
        kinds = [kind | {"places": _places(kind["kind"])} for kind in kinds]
    return {
        "name": space.name,
        "about": " ".join(space.about.split()),
        "architectures": space.cardinality(),
        "largest_params": count_params(space.largest(), shape),
        "kinds": kinds,
    }


def _places(kind: str) -> list[str]:
    """The operations of a layer whose output a module of ``kind`` changes, or where else the module is."""
    from search_spaces import KINDS
    from supernet.modules import ELASTIC

    module = ELASTIC[kind]
    if KINDS[kind].acts_everywhere:
        return [f"{place} of every layer" for place in module.places]
    if module.before_layers or KINDS[kind].first_layer_only:
        return ["before the first layer"]
    return list(module.places) or ["attention"]  # prompts are keys and values


def _size(described: dict[str, Any]) -> str:
    exponent = len(str(described["architectures"])) - 1
    return (
        f"about 10^{exponent} architectures of {len(described['kinds'])} kinds, at most "
        f"{described['largest_params']:,} parameters"
    )


def _sizes(kind: dict[str, Any]) -> str:
    sizes, depths = ", ".join(map(str, kind["sizes"])), kind["depths"]
    if depths is None:
        return sizes
    return f"{sizes}, in the first {' or '.join(map(str, depths))} layers"
