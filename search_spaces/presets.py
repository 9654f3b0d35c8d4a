"""Search spaces in YAML: the package's presets and the user's own.

```yaml
name: my-space
about: why it is as it is
kinds:
  lora_rank: {sizes: [0, 2, 4, 8]}
  prompt_tokens: {sizes: [1, 5, 10], depth_fractions: [0.5, 1.0]}
```
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import InputError, unknown_name
from search_spaces.space import SearchSpace
from search_spaces.whole_numbers import whole_number

_SUFFIXES = (".yaml", ".yml")
_PRESETS = resources.files("search_spaces") / "presets"


def preset_names() -> tuple[str, ...]:
    """The names of the package's search spaces, sorted."""
    files = (entry.name for entry in _PRESETS.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def load_space(name_or_file: str | Path, depth: int) -> SearchSpace:
    """The space that a preset or a YAML file describes, for a backbone with `depth` layers.

    A name ending in .yaml or .yml is read as a file; then presets are looked up by name; then any other
    existing file is read. Raises InputError for an unknown name, a file that cannot be read, YAML that cannot
    be parsed (with the line), and a wrong field (with its path, its value and what is allowed).
    """
    depth = whole_number("depth", depth, 1)
    source, fields = read_space(name_or_file)
    try:
        return SearchSpace.from_dict({**fields, "depth": depth})
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def read_space(name_or_file: str | Path) -> tuple[str, dict[str, Any]]:
    """The source and the fields of a space, before they are checked against a backbone.

    Raises InputError for an unknown name, a file that cannot be read, and text that is not YAML with fields.
    """
    name, path = str(name_or_file), Path(name_or_file)
    if path.suffix not in _SUFFIXES and name in preset_names():
        return _fields(f"preset {name}", (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    if path.suffix not in _SUFFIXES and not path.is_file():
        raise unknown_name("space", name, preset_names(), "Or give the path of a .yaml file.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"cannot read the space file '{name}': {reason}; give the path of a YAML file, "
            f"or one of the presets: {', '.join(preset_names())}"
        ) from error
    return _fields(name, text)


def _fields(source: str, text: str) -> tuple[str, dict[str, Any]]:
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark is not None else ""
        raise InputError(f"{source}:{line} {error.problem}; correct the YAML there") from error
    # YAML's own constructors raise ValueError for a date such as 2001-99-99; a text can also nest too deeply.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}; correct the file") from error
    if not isinstance(data, dict):
        raise InputError(f"{source}: holds no fields; give name, kinds, and about if you like")
    if "depth" in data:
        raise InputError(
            f"{source}: depth is {data['depth']!r}, but the backbone sets it; remove the field, "
            "and use depth_fractions or depths in a kind"
        )
    return source, data
