"""Two processes that train together, and one that does it alone: `test_data_parallel` reads what they leave.

::

    python trained_together.py FOLDER
"""

import os
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import timm
import torch
import torch.distributed as dist

from search_spaces import Architecture, BackboneShape, BudgetSampler, InputError, load_space
from supernet import (
    Constant,
    Execution,
    Groups,
    OnePath,
    OnePerImage,
    Penalty,
    Preprocessing,
    Recipe,
    Sandwich,
    Supernet,
    train,
)

DEPTH, WIDTH, CLASSES = 2, 32, 5
SPACE = load_space("default", DEPTH)
LARGEST, KINDS = SPACE.largest(), SPACE.largest().kinds
ONE_LAYER = Architecture.of(DEPTH, {"lora_rank": [2, 0], "adapter_dim": [0, 3], "prompt_tokens": [2, 0]})
SMALLEST = Architecture.of(DEPTH, {"prompt_tokens": [1, 0]})
SAMPLE = BudgetSampler(SPACE, BackboneShape.vit(WIDTH, DEPTH), 100, 800).sample  # kinds are often absent
CHOOSERS = {
    "constant": Constant(ONE_LAYER),
    "one path": OnePath(SAMPLE),
    "one per image": OnePerImage(SAMPLE, KINDS),
    "groups": Groups(SAMPLE, KINDS, 3),
    "sandwich": Sandwich(SAMPLE, LARGEST, SMALLEST, distil=True),
}
# batches of 5, 5 and 1: shares are of two and three images, and in the end of none and one
RECIPE = Recipe(epochs=2, lr=1e-3, batch_size=5)
PREPROCESSING = Preprocessing((3, 32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic", 0.9, "center")


def numbers(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


IMAGES = (60 * numbers(0, 11, 3, 32, 32) + 128).clamp(0, 255).to(torch.uint8)
LABELS = torch.arange(11) % CLASSES
FEATURES = numbers(1, 11, WIDTH)


def network():
    """Everything in it has an effect."""
    shrunken = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 4}
    vit = timm.create_model("vit_base_patch16_224", num_classes=0, **shrunken)
    net = Supernet(vit, LARGEST, CLASSES)
    with torch.no_grad():
        for seed, value in enumerate(net.parameters()):
            value.copy_((value.ndim == 1) + 0.2 * numbers(seed, *value.shape))
    return net


def trained(chooser, recipe=RECIPE, **options):
    """What a training leaves: weights, the gradients of its last step, and the curve."""
    net = network()
    curve = train(
        net, IMAGES, LABELS, preprocessing=PREPROCESSING, chooser=chooser, recipe=recipe, seed=3, **options
    )
    used = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
    return {
        "weights": net.state_dict(),
        "gradients": used,
        "losses": curve.losses,
        "image_passes": curve.image_passes,
    }


def cases():
    for name, chooser in CHOOSERS.items():
        for parts in (1, 2):
            yield f"{name}, {parts}", partial(trained, chooser, execution=Execution(micro_batches=parts))
    constant = CHOOSERS["constant"]
    yield "head", partial(trained, constant, trainable="head")
    yield "all", partial(trained, CHOOSERS["one path"], trainable="all")
    for parts in (1, 2):
        options = {"trainable": "biases", "penalty": Penalty(0.5, 0.2)}
        execution = Execution(micro_batches=parts)
        yield f"penalty, {parts}", partial(trained, constant, execution=execution, **options)
    strong = replace(RECIPE, augmentation="strong", label_smoothing=0.1)
    for name in ("constant", "groups"):
        yield f"augmented {name}", partial(trained, CHOOSERS[name], strong)
    every = {"class_balance": "sampled", "augmentation": "mixup", "drop_path": 0.3, "module_dropout": 0.3}
    yield "balanced, mixed and dropped", partial(trained, CHOOSERS["groups"], replace(RECIPE, **every))
    weighted = replace(RECIPE, class_balance="weighted", augmentation="cutmix")
    yield "weighted and pasted", partial(trained, constant, weighted)
    yield "checkpointing", partial(trained, CHOOSERS["sandwich"], execution=Execution(checkpointing=True))


def said(call):
    try:
        call()
    except InputError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def broken_features():
    features = FEATURES.clone()
    features[4] = float("nan")
    trained(CHOOSERS["constant"], trainable="head", features=features)


def resumed(state):
    """Stopped after the first of two epochs, as a kill would, then to the end."""

    class Stop(Exception):
        pass

    def stop(epoch):
        dist.barrier()
        raise Stop

    options = {"state_file": state, "save_every": 0.0}
    try:
        trained(CHOOSERS["one path"], on_epoch=stop, **options)
    except Stop:
        return trained(CHOOSERS["one path"], **options)
    raise AssertionError("not stopped")


def main(rank, folder):
    torch.set_num_threads(1)
    limit = timedelta(seconds=120)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=limit
    )
    together = {name: run() for name, run in cases()}
    together["resumed"] = resumed(folder / "state")
    together["not finite"] = said(broken_features)
    together["one state"] = said(
        lambda: trained(CHOOSERS["one path"], state_file=folder / "state" if rank else folder / "none")
    )
    torch.save(together, folder / f"{rank}.pt")
    dist.destroy_process_group()
    if rank == 0:
        torch.save({name: run() for name, run in cases()}, folder / "alone.pt")


if __name__ == "__main__":
    second = os.fork()  # there is no thread yet
    main(0 if second else 1, Path(sys.argv[1]))
    if second:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
