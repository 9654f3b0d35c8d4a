"""The test part, which can be read once."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NoReturn, SupportsIndex

from nas_peft.data.part import Part


class ProtocolError(RuntimeError):
    """The order of an honest measurement was broken: the test part was about to be read a second time."""


class SealedPart:
    """Holds the test part until the configuration is decided, then gives it out once.

    A score on test images is only an estimate of the score on new images while no choice depended on it. The
    seal makes that a property of the program: whoever opens the part says what was decided, and nobody can
    open it again, copy it, or send it to another process.
    """

    def __init__(self, part: Part) -> None:
        self.__part: Part | None = part
        self.__length = len(part)
        self.__opened = ""

    def __len__(self) -> int:
        """Number of images, known while the set is sealed."""
        return self.__length

    def __repr__(self) -> str:
        return f"SealedPart({self.__length} images, {self.__opened or 'sealed'})"

    @property
    def opened(self) -> bool:
        """Whether the part has been given out."""
        return bool(self.__opened)

    def open(self, decision: str) -> Part:
        """The test part; the seal keeps no reference to it.

        Args:
            decision: the frozen configuration as text; a second opening is answered with it.

        Raises:
            ProtocolError: the decision is empty, or the part was opened before.
        """
        if not decision.strip():
            raise ProtocolError(
                "the test part is opened with a decision: give the frozen configuration as text"
            )
        if self.__part is None:
            raise ProtocolError(
                f"the test part is read once, and it was {self.__opened}; "
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
            "the test part can be neither copied nor pickled: a copy could be opened a second time"
        )
