"""Options of the command that are read before any work."""

from __future__ import annotations

from search_spaces.errors import InputError


def test_corruptions(text: str) -> tuple[str, ...]:
    """The corruptions of ``all``, ``none``, or a list of names with commas.

    Raises `InputError` for an unknown name, and for one that is kept for choosing.
    """
    from nas_peft.corruptions.catalogue import corruptions_for, named_corruptions

    if text == "none":
        return ()
    if text == "all":
        return corruptions_for("test")
    return named_corruptions([name.strip() for name in text.split(",")], "test")


def levels(text: str) -> tuple[int, ...]:
    """The severities of a list with commas, ascending. Raises `InputError` for anything but 1 to 5."""
    found = set()
    for part in text.split(","):
        if part.strip() not in {"1", "2", "3", "4", "5"}:
            raise InputError(f"--severities {text} has '{part.strip()}'; allowed are 1 to 5, such as 1,3,5")
        found.add(int(part))
    return tuple(sorted(found))
