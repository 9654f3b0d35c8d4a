"""Scores of many subnets on the same images; layers that subnets share are computed once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import Architecture
from supernet.evaluation import Evaluation
from supernet.frozen_weights import cast_once
from supernet.images import Images
from supernet.precision import Precision, computing_in
from supernet.preprocessing import Preprocessing
from supernet.scoring_tree import DepthFirst, LevelByLevel, Members, Outcome, before, by_layer, groups
from supernet.supernet import Supernet
from supernet.transfers import RESIDENT_SHARE, free_memory, resident, to_device

FEWEST, MOST = 128, 2048
"""Limits of `rows_of_pass`."""


@torch.inference_mode()
def score(
    supernet: Supernet,
    images: Images,
    labels: Tensor,
    architectures: Sequence[Architecture],
    *,
    preprocessing: Preprocessing,
    batch_size: int | None = None,
    precision: Precision = "fp32",
    together: bool | None = None,
) -> list[Evaluation]:
    """Evaluate each subnet on uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``, as `evaluate` does.

    The architectures form a tree: those with the same modules in the layers up to l share these layers. Each
    node is computed once per image, so the embedding and the layers below the lowest module cost the same as
    for one subnet.

    Args:
        supernet: the supernet with the inherited weights.
        images: pixels, not normalised.
        labels: classes of the images.
        architectures: any number within the supernet's capacity; duplicates cost nothing.
        preprocessing: normalises the images.
        batch_size: images per pass, counted once for each architecture if ``together``; by default
            `rows_of_pass`.
        precision: precision of the trunk; head and losses are always float32.
        together: run all nodes of a layer as one batch with one architecture per image, with modules at
            capacity under masks and one kernel for all. Otherwise nodes run one after another at exact size,
            with less arithmetic, but each needs enough images to keep the device busy. By default True on a
            GPU and False on a CPU.

    Raises ``ValueError`` for an architecture beyond the capacity.
    """
    for a in architectures:
        if not supernet.capacity.covers(a):
            raise ValueError(f"{a.describe()} is beyond the capacity {supernet.capacity.describe()}")
    device = supernet.head.weight.device
    if together is None:
        together = device.type != "cpu"
    rows = batch_size or rows_of_pass(supernet)
    pixels, of, normalise = resident(images, device), to_device(labels, device), preprocessing.on(device)
    done: list[_Found] = []
    with computing_in(device, precision), cast_once(supernet.backbone, precision):
        for group in groups(architectures):
            among = [architectures[i] for i in group]
            run = LevelByLevel(supernet, among) if together else DepthFirst(supernet, among)
            found = _Found(group)
            step = images_of_pass(rows, len(group), together)
            for start in range(0, len(labels), step):
                x = normalise(to_device(pixels[start : start + step], device))
                found.add(list(run(x)), of[start : start + step])
            done.append(found)
    losses = torch.empty(len(architectures), len(labels))
    hits = torch.empty(len(architectures), len(labels), dtype=torch.bool)
    for found in done:
        found.copy_into(losses, hits)
    return [Evaluation(*row) for row in zip(losses, hits, strict=True)]


class _Found:
    """Losses and hits of a group of architectures, kept on the device until `copy_into`."""

    def __init__(self, group: Members) -> None:
        self._group = group
        self._nodes: list[Members] = []
        self._losses: list[Tensor] = []
        self._hits: list[Tensor] = []

    def add(self, outcomes: Sequence[Outcome], labels: Tensor) -> None:
        """Add the logits of a pass on the next images."""
        self._nodes = [members for nodes, _ in outcomes for members in nodes]
        losses, hits = [], []
        for nodes, logits in outcomes:
            flat, targets = logits.flatten(0, 1).float(), labels.repeat(len(nodes))
            losses.append(F.cross_entropy(flat, targets, reduction="none").view(len(nodes), -1))
            hits.append((flat.argmax(-1) == targets).view(len(nodes), -1))
        self._losses.append(torch.cat(losses))
        self._hits.append(torch.cat(hits))

    def copy_into(self, losses: Tensor, hits: Tensor) -> None:
        """Write the rows of the group's architectures into tables ``(architectures, N)`` on the CPU."""
        if not self._nodes:
            return
        own_losses, own_hits = torch.cat(self._losses, dim=1).cpu(), torch.cat(self._hits, dim=1).cpu()
        for row, members in enumerate(self._nodes):
            for i in members:
                losses[self._group[i]], hits[self._group[i]] = own_losses[row], own_hits[row]


def rows_of_pass(supernet: Supernet) -> int:
    """Default number of rows of tokens in a pass, one row for an image and a node.

    128 on a CPU. On a GPU the number that fills a share of its free memory (`RESIDENT_SHARE`), from 128 to
    2,048; more rows would not be faster.
    """
    device = supernet.head.weight.device
    if device.type != "cuda":
        return FEWEST
    shape = supernet.shape
    prompts = sum(max(supernet.capacity[kind]) for kind in supernet.capacity.kinds if "prompt" in kind)
    # float32: the residual stream before and after, queries, keys and values twice, the MLP's hidden layer
    # before and after its activation
    width = 4 * shape.width + 6 * shape.attention_width + 2 * shape.fc1_width
    row = 4 * width * (shape.tokens + prompts)
    return int(min(max(RESIDENT_SHARE * free_memory(device) // row, FEWEST), MOST))


def shared_passes(architectures: Sequence[Architecture]) -> float:
    """Forward passes of an image in `score`: the number of computed layers over that of one subnet."""
    nodes = 0
    for group in groups(architectures):
        among = [architectures[i] for i in group]
        nodes += sum(
            len({(before(a), *prefix[: layer + 1]) for a in among for prefix in [by_layer(a)]})
            for layer in range(among[0].depth)
        )
    return nodes / architectures[0].depth if architectures else 0.0


def images_of_pass(batch_size: int, members: int, together: bool) -> int:
    """Number of images that `score` takes at once for a group of ``members`` architectures."""
    return max(1, batch_size // members) if together else batch_size
