"""Two machines of a cluster: a supernet that both train, and one of them lost in mid-training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas_peft.settings.search_config import SearchConfig

pytestmark = [pytest.mark.ray, pytest.mark.thorough]

PROGRAM = Path(__file__).with_name("two_machines.py")


def test_both_train_a_supernet_and_the_loss_of_one_changes_no_training(
    tiny_config: SearchConfig, tmp_path: Path, run_program: Callable[..., Any]
):
    config = tiny_config.model_copy(update={"epochs": (6,)})
    done = run_program(PROGRAM, json.dumps(config.to_dict()), tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["together"] == [2, 2]  # machines, epochs
    (finished,) = found["finished_at_kill"]
    assert finished < 3
    assert [record["error"] for record in found["disturbed"]] == [None, None, None]
    assert found["disturbed"] == found["undisturbed"]
    ends = ("json", "val.safetensors")
    names = [f"lora_rank-2.train.lr0.005.seed{seed}" for seed in (0, 1, 2)]
    assert found["left"] == [f"{name}.{end}" for name in names for end in ends]
