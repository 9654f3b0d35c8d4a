"""Work for several processes, that `test_process_group` starts from a program of its own.

::

    python work_together.py WHAT...
"""

import os
import signal
import sys
import time

import torch
import torch.distributed as dist

from nas_peft.machine.process_group import run_together
from search_spaces import InputError


class Strange(InputError):
    """An error of the user's with a type of its own."""


def add_up(device, on_step):
    for step in range(3):
        on_step(10 * dist.get_rank() + step)
    value = torch.tensor([1.0 + dist.get_rank()], device=device)
    dist.all_reduce(value)
    return {"sum": value.item(), "threads": torch.get_num_threads(), "rank": dist.get_rank()}


def one_user_error(device, on_step):
    if dist.get_rank() == 1:
        raise Strange("mend it")
    dist.barrier()  # which the other never reaches


def one_bug(device, on_step):
    if dist.get_rank() == 1:
        raise RuntimeError("a bug")
    dist.barrier()


def wait(device, on_step):
    on_step(1)
    time.sleep(600)


def kill(step):
    os.kill(os.getpid(), signal.SIGKILL)


def main(what):
    steps = []
    torch.set_num_threads(2)
    if what == "wait":
        run_together(wait, 2, "cpu", kill)
    try:
        print(run_together(globals()[what], 2, "cpu", steps.append), steps)
    except Exception as error:
        print(type(error).__name__, "a bug" in str(error), isinstance(error, InputError) and error)


if __name__ == "__main__":
    for one in sys.argv[1:]:
        main(one)
