"""The test set, which can be read once."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NoReturn, SupportsIndex

from nas_peft.data.part import Part


class ProtocolError(RuntimeError):
    """A second reading of the test set, or another break in the order of an honest measurement."""


class SealedPart:
    """Holds the test set until the configuration is decided, then gives it out once.

    A score on test images estimates the score on new images only while no choice depended on it. The seal
    makes that a property of the program: whoever opens the test set states the decision, and nobody can open
    the seal again, copy it, or send it to another process.
    """

    def __init__(self, part: Part) -> None:
        self.__part: Part | None = part
        self.__length = len(part)
        self.__opened = ""

    def __len__(self) -> int:
        """The number of images, known while sealed."""
        return self.__length

    def __repr__(self) -> str:
        return f"SealedPart({self.__length} images, {self.__opened or 'sealed'})"

    @property
    def opened(self) -> bool:
        """Whether the test set has been given out."""
        return bool(self.__opened)

    def open(self, decision: str) -> Part:
        """The test set; the seal keeps no reference to it.

        Args:
            decision: the frozen configuration as text, which the error of a second opening repeats.

        Raises:
            ProtocolError: the decision is empty, or the test set was opened before.
        """
        if not decision.strip():
            raise ProtocolError(
                "the test set is opened with a decision: give the frozen configuration as text"
            )
        if self.__part is None:
            raise ProtocolError(
                f"the test set is read once, and it was {self.__opened}; "
                "load the data set anew for a new experiment"
            )
        part, self.__part = self.__part, None
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.__opened = f"opened at {now} with the decision: {decision}"
        return part

    def __getstate__(self) -> NoReturn:
        self.__refuse_copy()

    def __reduce__(self) -> NoReturn:
        self.__refuse_copy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self.__refuse_copy()

    @staticmethod
    def __refuse_copy() -> NoReturn:
        raise ProtocolError(
            "the test set can be neither copied nor pickled: a copy could be opened a second time"
        )
