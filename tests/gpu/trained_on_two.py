"""One process of a training on two GPUs: prints the losses of its epochs."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from supernet import Execution


def part(layers: int, device: str) -> list[float]:
    """The losses of a training that the processes of the environment share."""
    from trainings import Trainings

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        return Trainings(layers).trained(device, Execution())
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent)]
    print(*part(int(sys.argv[1]), "cuda"))
