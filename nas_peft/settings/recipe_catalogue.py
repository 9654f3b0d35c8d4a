"""What a training can be: augmentations, times, methods and baselines, each with its reason."""

from __future__ import annotations

from typing import Any

from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.durations import AUTO, PRESETS
from nas_peft.settings.lists import AUGMENTATIONS, CLASS_BALANCES
from nas_peft.settings.methods import METHODS

ABOUT_AUGMENTATIONS = dict(
    zip(
        AUGMENTATIONS,
        (
            "the images as they are",
            "a random crop of half of the area or more",
            "crop, and every second image mirrored",
            "crop-flip, TrivialAugment, and a rectangle erased in a quarter of the images",
            "crop, and the average with the crop of another image; the label is mixed, too",
            "crop, and a rectangle of another image pasted in; the label is mixed, too",
            "the whole image, averaged with versions of itself after short chains of mild operations",
        ),
        strict=True,
    )
)

ABOUT_CLASS_BALANCES = dict(
    zip(
        CLASS_BALANCES,
        (
            "every image counts alike",
            "the loss of an image is weighted by the inverse size of its class",
            "batches are drawn with every class equally likely",
            "logits are shifted by the logarithms of the class shares in training (arXiv 2007.07314)",
            "as none, then the head alone is trained again, every class equally likely (arXiv 1910.09217)",
        ),
        strict=True,
    )
)


def times() -> dict[str, str]:
    """The names of times, each with what it stands for."""
    return {AUTO: "what the data deserve, at most an hour"} | PRESETS


def methods() -> list[dict[str, Any]]:
    """The methods of separate training: what each trains, and what is kept of its paper's recipe."""
    return [
        {
            "name": m.name,
            "label": m.label,
            "trains": m.trains,
            "learning_rate": m.lr,
            "option": None if m.rate is None else f"--{m.rate.replace('_', '-')}",
            "weight_decay": m.weight_decay,
            "head": m.head,
            "paper": m.paper,
            "taken_over": m.taken_over,
        }
        for m in METHODS.values()
    ]


def baselines() -> list[dict[str, Any]]:
    """The baselines: method, modules, size, and the reason for the size."""
    return [
        {
            "name": b.name,
            "label": b.label,
            "method": b.method,
            "kinds": list(b.kinds),
            "size": b.size,
            "about": b.about,
        }
        for b in BASELINES.values()
    ]
