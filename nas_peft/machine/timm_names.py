"""Names of timm's Vision Transformers with pretrained weights, read from its sources: no import of torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

MODULES = ("vision_transformer", "deit", "eva", "beit")
"""The modules of timm whose models nas-peft supports."""

_ENTRY = re.compile(r"""^    ['"]([a-z]\w*\.\w+)['"]:""", re.MULTILINE)


def timm_names() -> tuple[str, ...]:
    """The names with weights in the installed timm, sorted; none if its sources are not there."""
    spec = find_spec("timm")
    places = [] if spec is None else spec.submodule_search_locations or []
    files = [Path(place) / "models" / f"{module}.py" for place in places for module in MODULES]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return tuple(sorted({name for text in texts for name in _ENTRY.findall(text)}))
