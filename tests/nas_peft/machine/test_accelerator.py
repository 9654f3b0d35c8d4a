"""Memory and faults, without a GPU: what is returned or tried again, and when a process has to end."""

import ctypes
import sys

import psutil
import pytest
import torch
from simulated_gpu import bytes_in_use, simulated_gpu
from torch import nn

from nas_peft.machine.accelerator import (
    STICKY_FAULT,
    end_if_broken,
    is_broken,
    leave_gpu,
    limit_memory,
    release_memory,
    with_less_memory,
)
from supernet import Execution


def test_too_little_memory_is_met_by_twice_as_many_parts_up_to_one_image_each():
    tried: list[int] = []

    def run(execution: Execution) -> str:
        tried.append(execution.micro_batches)
        if execution.micro_batches < 6:
            raise torch.OutOfMemoryError("too little")
        return execution.precision

    assert with_less_memory(run, Execution("bf16", micro_batches=1), 6, "cpu") == "bf16"
    assert tried == [1, 2, 4, 6]


def test_where_one_image_is_too_much_the_error_comes_through():
    tried: list[int] = []

    def run(execution: Execution) -> None:
        tried.append(execution.micro_batches)
        raise torch.OutOfMemoryError("too little")

    with pytest.raises(torch.OutOfMemoryError):
        with_less_memory(run, Execution(), 4, "cpu")
    assert tried == [1, 2, 4]


def test_other_errors_are_not_tried_again():
    tried: list[int] = []

    def run(execution: Execution) -> None:
        tried.append(execution.micro_batches)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        with_less_memory(run, Execution(), 4, "cpu")
    assert tried == [1]


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("CUDA error: not torch's"), False),
    ],
)
def test_only_a_broken_context_is_broken(error: Exception, broken: bool):
    assert is_broken(error) is broken


def test_torch_s_own_error_of_an_accelerator_is_broken():
    if not hasattr(torch, "AcceleratorError"):
        pytest.skip("torch has no such error before version 2.8")
    assert is_broken(torch.AcceleratorError("device-side assert triggered"))


@pytest.mark.slow
def test_a_process_with_a_broken_context_ends_with_its_own_status(run_program):
    code = (
        "from nas_peft.machine.accelerator import end_if_broken\n"
        "end_if_broken(RuntimeError('shapes differ'))\n"
        "end_if_broken(RuntimeError('CUDA error: device-side assert triggered'))\n"
        "print('went on')"
    )
    done = run_program("-c", code)
    assert (done.returncode, done.stdout) == (STICKY_FAULT, "")


def test_a_process_leaves_a_gpu_to_others(monkeypatch: pytest.MonkeyPatch):
    """Its cache is emptied when nothing is in use any more."""
    emptied: list[int] = []
    with simulated_gpu(monkeypatch):
        model = nn.Linear(2, 3).to("cuda")
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(bytes_in_use()))
        leave_gpu(model, "cuda")
        assert model.weight.device.type == "cpu"
    assert emptied == [0]


def test_on_a_cpu_there_is_no_gpu_to_release_limit_or_end():
    release_memory("cpu")
    limit_memory("cpu", 0.25)
    end_if_broken(ValueError("a mistake"))


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc gives memory back on request",
)
def test_freed_memory_goes_back_to_the_system():
    """Blocks between blocks in use: what is freed below the last one stays with the process by itself."""

    def resident() -> int:
        found: int = psutil.Process().memory_info().rss
        return found

    blocks = [bytearray(60_000) for _ in range(2_000)]
    last = bytearray(60_000)
    blocks.clear()
    kept = resident()
    release_memory("cpu")
    assert kept - resident() > 60_000_000
    assert len(last) == 60_000
