"""Sums over an operation's output: the same with and without a gradient, in place only without one."""

import pytest
import torch

from supernet.sums import plus, plus_product


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize(("start", "n"), [(0, 6), (2, 2)])
@pytest.mark.parametrize("bias", [None, (), (3, 1)])
def test_a_product_is_added_over_the_output_only_without_a_gradient(start, n, bias):
    y, a, b = drawn(3, 4, 6), drawn(3, 4, 2), drawn(2, n)
    added = None if bias is None else drawn(*bias, n)
    before = y.clone()
    with_gradient = plus_product(y, a, b, added, start)
    assert torch.equal(y, before)
    expected = before.clone()
    expected[..., start : start + n] += a @ b + (0 if added is None else added)
    with torch.inference_mode():
        without = plus_product(y, a, b, added, start)
    assert without.data_ptr() == y.data_ptr()
    torch.testing.assert_close(with_gradient, expected)
    torch.testing.assert_close(without, expected)


def test_a_sum_of_another_shape_or_dtype_is_new():
    y, batch = drawn(4, 6), drawn(3, 4, 2)
    with torch.inference_mode():
        assert plus_product(y, batch, drawn(2, 6)).shape == (3, 4, 6)
        assert plus(y, drawn(3, 4, 6)).shape == (3, 4, 6)
        assert plus(y.bfloat16(), y).dtype == torch.float32
        assert torch.equal(y, drawn(4, 6))
        assert plus(y, drawn(6)).data_ptr() == y.data_ptr()
