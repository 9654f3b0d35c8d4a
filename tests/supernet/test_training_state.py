"""States of unfinished trainings: exact, and never read where they are damaged."""

from pathlib import Path

import pytest
import torch
from torch import nn

from supernet.training_state import read_state, write_state


def trained(steps: int) -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer]:
    """A parameter beside a view, after some steps of AdamW."""
    parameters = {"a": nn.Parameter(torch.arange(6.0)[1:4]), "b.c": nn.Parameter(torch.ones(2, 3).T)}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.1, fused=True)
    for step in range(steps):
        loss = sum(((value - step) ** 2).sum() for value in parameters.values())
        optimizer.zero_grad()
        torch.as_tensor(loss).backward()
        optimizer.step()
    return parameters, optimizer


def test_a_training_goes_on_from_its_state_to_the_last_bit(tmp_path: Path):
    file = tmp_path / "state"
    write_state(file, *trained(2), {"losses": [0.1]})
    parameters, optimizer = trained(0)
    assert read_state(file, parameters, optimizer) == {"losses": [0.1]}
    loss = sum(((value - 2) ** 2).sum() for value in parameters.values())
    torch.as_tensor(loss).backward()
    optimizer.step()
    assert all(torch.equal(parameters[name], value) for name, value in trained(3)[0].items())


@pytest.mark.parametrize("damage", ["cut off", "one bit", "emptied", "of an earlier version", "missing"])
def test_a_damaged_state_is_no_state(tmp_path: Path, damage: str):
    file = tmp_path / "state"
    write_state(file, *trained(2), {"losses": [0.1]})
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "of an earlier version":
        torch.save({"parameters": {}}, file)
    else:
        changed = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
        file.write_bytes({"cut off": data[:-8], "one bit": changed, "emptied": b""}[damage])
    parameters, optimizer = trained(0)
    assert read_state(file, parameters, optimizer) is None
    assert all(torch.equal(parameters[name], value) for name, value in trained(0)[0].items())
