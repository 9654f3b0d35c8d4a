"""Checks of whole numbers given by the user, in code or in a file."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

from search_spaces.errors import InputError


def whole_number(where: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """`value` as a plain int in [minimum, maximum].

    NumPy integers pass; booleans do not, since `true` in a YAML list of sizes is a mistake. Raises InputError
    naming `where`, the value and what is allowed.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= minimum and (maximum is None or number <= maximum):
            return number
    upper = "up" if maximum is None else f"to {maximum}"
    raise InputError(f"{where} is {value!r}; give a whole number from {minimum} {upper}")


def ascending(where: str, values: object, minimum: int, maximum: int | None = None) -> tuple[int, ...]:
    """`values` as a tuple of plain ints that ascend without repeats, each in [minimum, maximum].

    Raises InputError naming the entry, for instance `kinds.lora_rank.sizes[1]`.
    """
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, dict)):
        raise InputError(f"{where} is {values!r}; give a list of whole numbers, such as [1, 2, 4]")
    numbers = tuple(whole_number(f"{where}[{i}]", v, minimum, maximum) for i, v in enumerate(values))
    if not numbers:
        raise InputError(f"{where} is empty; give at least one whole number")
    for i in range(1, len(numbers)):
        if numbers[i] <= numbers[i - 1]:
            raise InputError(
                f"{where}[{i}] is {numbers[i]} after {numbers[i - 1]}; give ascending numbers, each once"
            )
    return numbers
