"""Where a session keeps what it has collected, for the test of the suites."""

import pytest

COLLECTED = pytest.StashKey[dict[str, list[bool]]]()
"""For each test file, whether each of its tests is thorough, the deselected ones among them."""
DESELECTED = pytest.StashKey[int]()
"""The number of deselected tests."""
