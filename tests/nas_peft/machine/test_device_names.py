import pytest

from nas_peft.machine.device_names import DEVICES, require_device_name
from search_spaces.errors import InputError


def test_three_names_are_devices():
    for name in DEVICES:
        require_device_name(name)
    with pytest.raises(InputError, match="device is 'tpu'; give auto, cpu or cuda"):
        require_device_name("tpu")
