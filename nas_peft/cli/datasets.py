"""``nas-peft datasets``: what ``--dataset`` can name."""

from __future__ import annotations

from typing import Any

from nas_peft.cli.subnet_options import Debug, Json
from nas_peft.cli.two_columns import print_sections
from nas_peft.cli.user_errors import user_errors


def datasets(as_json: Json = False, debug: Debug = False) -> None:
    """List what --dataset can name: embedded data sets, forms of folders and files, and names of timm."""
    with user_errors(debug):
        import json
        from dataclasses import asdict

        from nas_peft.data.catalogue import embedded_sets, path_forms, timm_prefixes

        embedded, forms, prefixes = embedded_sets(), path_forms(), timm_prefixes()
        if as_json:
            kinds: dict[str, list[Any]] = {"embedded": embedded, "paths": forms, "timm": prefixes}
            as_dicts = {kind: [asdict(one) for one in found] for kind, found in kinds.items()}
            print(json.dumps(as_dicts, indent=1))
            return
        print_sections(
            {
                "Embedded, without a download": [
                    (e.name, f"{e.about}: {e.classes} classes, {_counts(e.images)}") for e in embedded
                ],
                "Folders and files": [(form.path, form.about) for form in forms],
                "Names of timm": [
                    (
                        f"{p.prefix}/NAME",
                        p.about
                        + (f" ({', '.join(p.names)})" if p.names else "")
                        + ("" if p.installed else f"; needs: pip install {p.package}"),
                    )
                    for p in prefixes
                ],
            }
        )


def _counts(images: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in images.items())
