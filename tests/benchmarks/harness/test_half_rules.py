"""Rules on half of the validation images."""

from __future__ import annotations

import numpy as np

from benchmarks.harness.half_rules import PRODUCT, RULES, Half
from nas_peft.protocol.decision import FRACTION


def half(name: str, right: int, loss: float, params: int = 1) -> Half:
    hits, losses = np.arange(100) < right, np.full(100, loss)
    return Half(name, params, hits.astype(float), losses, losses)


def test_the_product_s_rule_has_its_fraction():
    assert f"within {FRACTION:g} s.e." in PRODUCT
    accurate, sure, small = half("accurate", 90, 0.5), half("sure", 90, 0.3), half("small", 70, 0.1)
    assert RULES[PRODUCT]([accurate, sure, small]) == "sure"
    assert RULES["lowest loss"]([accurate, sure, small]) == "small"
