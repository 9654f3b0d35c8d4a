"""Names of backbones as timm resolves them: current ones, those before timm 0.9, the hub's, folders'."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import timm
from timm.models import get_deprecated_models

from search_spaces import InputError, unknown_name

_HUB = ("hf-hub:", "hf_hub:")
_FOLDER = "local-dir:"


@dataclass(frozen=True)
class ResolvedName:
    """A name that ``timm.create_model`` accepts.

    Attributes:
        name: current name in timm, or ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``.
        note: remark on how the given name was resolved; empty if the name is unchanged.
    """

    name: str
    note: str = ""

    @property
    def in_registry(self) -> bool:
        """Whether timm itself knows the model and its weights."""
        return ":" not in self.name


def resolve_name(given: str, default: str) -> ResolvedName:
    """Resolve a backbone's name, without fetching anything.

    Raises `InputError` for an unknown name and suggests the nearest known names and ``default``.
    """
    name = given
    for prefix in (*(f"{hub}timm/" for hub in _HUB), "timm/"):  # the hub's copies of timm's own weights
        name = name.removeprefix(prefix)
    if name.startswith(_FOLDER):
        try:
            folder = Path(name.removeprefix(_FOLDER)).expanduser()
        except RuntimeError as error:
            raise InputError(
                f"backbone '{given}': the home folder in it is not known on this machine; give the whole path"
            ) from error
        if not (folder / "config.json").is_file():
            raise InputError(
                f"backbone '{given}': '{folder}' has no config.json; give a folder that timm's save_for_hf "
                "wrote, or the model's name and its file with --backbone-weights"
            )
        return ResolvedName(f"{_FOLDER}{folder.resolve()}")
    if name.startswith(_HUB):
        return ResolvedName(name)
    today = get_deprecated_models().get(name)
    if today:
        return ResolvedName(today, f"'{given}' is called {today} today")
    _require_known(name, default)
    return ResolvedName(name, "" if name == given else f"'{given}' is timm's {name}")


def _require_known(name: str, default: str) -> None:
    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        vits = [n for n in timm.list_models() if n.startswith(("vit_", "deit"))]
        near = difflib.get_close_matches(base, vits, n=5, cutoff=0.3)  # timm has more than fit on a line
        raise unknown_name(
            "backbone",
            name,
            {default, *near},
            "Any timm ViT name works, hf-hub:OWNER/NAME and local-dir:FOLDER too.",
        )
    tagged = timm.list_models(f"{base}.*", pretrained=True)
    if tag and name not in tagged:
        raise unknown_name("backbone", name, [base, *tagged])
