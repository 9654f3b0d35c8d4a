"""Groups of data sets whose means are averaged: the user's own, or the groups of VTAB-1k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from search_spaces import InputError

VTAB_GROUPS = {
    "natural": ("caltech101", "cifar", "dtd", "oxford_flowers102", "oxford_iiit_pet", "sun397", "svhn"),
    "specialized": ("diabetic_retinopathy", "eurosat", "patch_camelyon", "resisc45"),
    "structured": (
        "clevr_count",
        "clevr_dist",
        "dmlab",
        "dsprites_loc",
        "dsprites_ori",
        "kitti",
        "smallnorb_azi",
        "smallnorb_ele",
    ),
}
"""Groups of the 19 tasks of VTAB-1k (arXiv 1910.04867), by the names of the tasks' folders."""


def parse_groups(file: Path | None, options: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Groups from a YAML file (name: list of data sets) and from ``NAME=dataset,dataset`` options.

    Raises `InputError` for a file that is missing or holds no groups, for an option that cannot be read, and
    for a group or a data set that is given twice.
    """
    found = [*_of_file(file), *(_of_option(option) for option in options)]
    groups: dict[str, tuple[str, ...]] = {}
    for name, members in found:
        if name in groups:
            raise InputError(f"the group '{name}' is given twice; give each group once")
        taken = {member: other for other, of_other in groups.items() for member in of_other}
        for member in members:
            if member in taken or members.count(member) > 1:
                raise InputError(
                    f"the data set '{member}' is in the groups '{taken.get(member, name)}' and '{name}'; "
                    "leave it in one"
                )
        groups[name] = members
    return groups


def group_of_each(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str] | None:
    """The group of each data set, by ``groups`` or else by the groups of VTAB-1k.

    ``None`` if no groups are given and a data set is not of VTAB-1k. Raises `InputError` for a data set that
    is in none of the given groups.
    """
    of = {member: name for name, members in (groups or VTAB_GROUPS).items() for member in members}
    outside = [name for name in names if name not in of]
    if outside and groups:
        raise InputError(
            f"the data set '{outside[0]}' is in none of the groups {', '.join(groups)}; add it to one, or "
            "leave the groups out"
        )
    return None if outside else {name: of[name] for name in names}


def _of_file(file: Path | None) -> list[tuple[str, tuple[str, ...]]]:
    if file is None:
        return []
    if not file.is_file():
        raise InputError(f"no groups file at '{file}'; give a YAML file to --groups")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"the groups file '{file}' is not YAML: {error}") from error
    lists = isinstance(content, dict) and all(isinstance(v, list) and v for v in content.values())
    if not content or not lists:
        raise InputError(
            f"the groups file '{file}' holds no groups; write one on each line: 'natural: [cifar, dtd]'"
        )
    return [(str(name), tuple(str(member) for member in members)) for name, members in content.items()]


def _of_option(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, members = text.partition("=")
    names = tuple(member.strip() for member in members.split(","))
    if not name.strip() or not all(names):
        raise InputError(f"the group {text!r} cannot be read; give NAME=dataset,dataset")
    return name.strip(), names
