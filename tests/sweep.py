"""Parametrisations of which a few cases run in the ordinary suite, and the rest in the thorough one."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def sweep(cases: Iterable[Any], ordinary: int | Collection[Any] = 1) -> list[ParameterSet]:
    """Mark all cases ``thorough`` but the first ``ordinary`` of them, or but those that ``ordinary`` names.

    A tuple is a case of several arguments, as in ``pytest.mark.parametrize``.

    Raises
    ------
    ValueError
        If ``ordinary`` names what is no case.
    """
    listed = list(cases)
    if isinstance(ordinary, int):
        chosen = listed[:ordinary]
    else:
        chosen = [case for case in listed if case in ordinary]
        if len(chosen) != len(ordinary):
            raise ValueError(f"{sorted(map(str, ordinary))} are not all among {sorted(map(str, listed))}")
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if any(case is one for one in chosen) else pytest.mark.thorough,
        )
        for case in listed
    ]
