"""Limit on the trainable parameters of a search."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from search_spaces.architecture import Architecture
from search_spaces.counting import count_params
from search_spaces.errors import InputError
from search_spaces.shape import BackboneShape
from search_spaces.space import SearchSpace
from search_spaces.whole_numbers import whole_number

_FORM = re.compile(r"(?P<number>\d*\.?\d+)\s*(?P<unit>[kKmM%]?)", re.ASCII)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True)
class Budget:
    """At most `max_params` trainable parameters, head included if `count_head`.

    `text` is the user's spelling, for messages and records. Raises InputError for a limit below 1.
    """

    max_params: int
    count_head: bool
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_params", whole_number("max_params", self.max_params, 1))

    @classmethod
    def parse(cls, text: str, *, backbone_params: int, count_head: bool = False) -> Budget:
        """The budget that `text` describes: `500k`, `0.4M`, `12000`, or `0.5%` of the backbone's parameters.

        Fractions of a parameter are dropped. Raises InputError for other texts and for less than one
        parameter.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"the budget is {text!r}; give a number of parameters such as 12000, 500k or 0.4M, "
                "or a share of the backbone such as 0.5%"
            )
        # Exact, since floating point makes 0.57% of 10,000 less than 57.
        number, unit = Fraction(match["number"]), match["unit"].lower()
        limit = int(number * backbone_params / 100 if unit == "%" else number * _UNITS[unit])
        if limit < 1:
            raise InputError(
                f"the budget {text!r} is less than one parameter; give more, such as 500k or 0.5%"
            )
        return cls(limit, count_head, text)

    def limit(self, head: int) -> int:
        """Parameters left for modules beside a head of `head` parameters; may be negative."""
        return self.max_params - head if self.count_head else self.max_params

    def allows(self, a: Architecture, shape: BackboneShape, head: int) -> bool:
        """Whether `a` is within the budget, on a backbone of `shape` with a head of `head` parameters."""
        return count_params(a, shape) <= self.limit(head)

    def require_feasible(self, space: SearchSpace, shape: BackboneShape, head: int) -> None:
        """Raise InputError unless some member of `space` with at least one module is within the budget."""
        smallest = min(count_params(a, shape) for a in space.smallest_nonempty())
        if smallest <= self.limit(head):
            return
        needed = smallest + head if self.count_head else smallest
        counted = f" and the head {head:,}, which counts" if self.count_head else ""
        advice = ", or leave the head out of the count" if self.count_head else ""
        raise InputError(
            f"the budget {self.text!r} is {self.max_params:,} parameters, but the smallest subnet of "
            f"the space '{space.name}' has {smallest:,}{counted}; raise it to at least {needed:,}, "
            f"{'' if advice else 'or '}choose a space with smaller sizes{advice}"
        )
