"""Names of devices, which are checked before torch is imported."""

from search_spaces.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def require_device_name(device: str) -> None:
    """Raise `InputError` for another name."""
    if device not in DEVICES:
        raise InputError(f"device is '{device}'; give {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
