"""Names of timm's Vision Transformers with pretrained weights, read from its sources: no import of torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

MODULES = ("vision_transformer", "deit", "eva", "beit")
"""The modules of timm whose models nas-peft supports, but for a few of unusual layers."""

FAMILIES = {
    "DINOv3": r"dinov3",
    "DINOv2": r"dinov2",
    "SigLIP": r"siglip",
    "CLIP image towers": r"clip",
    "EVA and EVA-02": r"^eva",
    "BEiT": r"^beit",
    "DeiT and DeiT-3": r"^deit",
    "AIMv2": r"^aimv2",
    "Perception Encoder": r"^vit_pe_",
    "ViTs with rotary positions": r"rope",
    "MAE": r"\.mae$",
    "ViT (AugReg and others)": r"",
}
"""Families by a pattern of their names; a name belongs to the first that fits."""

_ENTRY = re.compile(r"""^    ['"]([a-z]\w*\.\w+)['"]:""", re.MULTILINE)
_WEIGHTS = re.compile(r"""^[^#\n]*\b(hf_hub_id|url)\s*=\s*['"]\w""", re.MULTILINE)


def timm_names() -> tuple[str, ...]:
    """The names with weights in the installed timm, sorted; none if its sources are not there.

    A few names that timm makes in a loop are missing.
    """
    spec = find_spec("timm")
    places = [] if spec is None else spec.submodule_search_locations or []
    files = [Path(place) / "models" / f"{module}.py" for place in places for module in MODULES]
    names: set[str] = set()
    for file in files:
        if not file.is_file():
            continue
        _, *parts = _ENTRY.split(file.read_text(encoding="utf-8"))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        names |= {name for name, entry in pairs if _WEIGHTS.search(entry.partition("\n    '")[0])}
    return tuple(sorted(names))


def family_of(name: str) -> str:
    """The family that a name belongs to."""
    return next(family for family, pattern in FAMILIES.items() if re.search(pattern, name))
