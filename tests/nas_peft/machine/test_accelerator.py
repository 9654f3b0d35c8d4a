"""Too little memory of a GPU, and faults after which it cannot be used, as torch raises them."""

import pytest
import torch

from nas_peft.machine.accelerator import end_if_broken, is_broken, with_less_memory
from supernet import Execution


def test_too_little_memory_doubles_the_micro_batches_up_to_one_for_each_image():
    tried: list[int] = []

    def run(execution: Execution) -> int:
        tried.append(execution.micro_batches)
        if execution.micro_batches < 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return execution.micro_batches

    assert with_less_memory(run, Execution(), 6, "cpu") == 6
    assert tried == [1, 2, 4, 6]
    tried.clear()
    with pytest.raises(torch.OutOfMemoryError):
        with_less_memory(run, Execution(), 5, "cpu")
    assert tried == [1, 2, 4, 5]


def test_another_error_is_not_tried_again():
    tried: list[Execution] = []

    def run(execution: Execution) -> None:
        tried.append(execution)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        with_less_memory(run, Execution(), 6, "cpu")
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (type("AcceleratorError", (RuntimeError,), {})("an illegal memory access"), True),
        (torch.OutOfMemoryError("CUDA error: out of memory"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("CUDA error: said by another"), False),
    ],
)
def test_a_fault_that_stays_is_known(error: Exception, broken: bool, monkeypatch: pytest.MonkeyPatch):
    ends: list[int] = []
    monkeypatch.setattr("os._exit", ends.append)
    end_if_broken(error)
    assert is_broken(error) == broken
    assert ends == ([70] if broken else [])
