"""The file of ``--config``: options of a command in YAML, as the run folder's ``config.yaml`` has them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nas_peft.settings.validation import nearest
from search_spaces.errors import InputError

OF_THE_COMMAND_LINE = ("config", "debug", "help", "help_all", "help-all")
"""Options that say how a command is started, so that no file can have them."""


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            text = key.value if isinstance(key, yaml.ScalarNode) else key
            if text in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{text}' is given twice; give it once", key.start_mark
                )
            seen.add(text)
        return super().construct_mapping(node, deep)


def read_option_file(
    file: Path, names: Collection[str], of_others: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The options in ``file``, by name.

    ``of_others`` holds the command of options that are not among ``names``. Raises `InputError` for a file
    that cannot be read, that is no YAML mapping, and that names anything else than ``names``, with that
    command or with the nearest of ``names``.
    """
    try:
        options = yaml.load(file.read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise InputError(
            f"cannot read the configuration '{file}': {error.strerror}; give a YAML file to --config"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"the configuration '{file}' is not UTF-8 text; give a YAML file") from error
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark is not None else ""
        raise InputError(f"'{file}':{line} {error.problem}; correct the YAML there") from error
    except yaml.YAMLError as error:
        raise InputError(f"'{file}' is not YAML: {' '.join(str(error).split())}; correct the file") from error
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise InputError(f"'{file}' holds no options; write lines such as 'dataset: photos/' into it")
    for name in options:
        if name not in names and name in (of_others or {}):
            raise InputError(
                f"'{file}': '{name}' is an option of nas-peft {(of_others or {})[name]} alone; leave it out "
                "here"
            )
        if name not in names and name in OF_THE_COMMAND_LINE:
            raise InputError(f"'{file}': '{name}' stays on the command line; leave it out here")
        if name not in names:
            raise InputError(
                f"'{file}': there is no option '{name}'{nearest(str(name), names)} nas-peft schema lists them"
            )
    return dict(options)
