"""One process of a training on two GPUs: prints the losses of its epochs."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
from test_supernet import trained  # noqa: E402

from supernet import Execution  # noqa: E402

if __name__ == "__main__":
    torch.cuda.set_device(int(os.environ["RANK"]))
    dist.init_process_group("nccl")
    print(*trained("cuda", Execution()))
    dist.destroy_process_group()
