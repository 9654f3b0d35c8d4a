"""Levels of effort: the settings of a search from the shortest to the longest.

What a level adds to the one before is what the measurements in docs/log/short_recipes.md found worth its
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMAGES = 800
"""Training images for which the epochs of the levels were chosen."""

_MOST_TIMES = 12.5

SCALE = 4.0
"""How many times as fast the output projections of modules learn as the rest, the head among it.

The rate of the rest is as many times lower. On small data a head that learns as fast as the modules fits its
images too soon (docs/log/module_scale.md; LoRA+, arXiv 2402.12354, has the same for LoRA's two factors).
"""

_EVERYWHERE = {
    "space": "large",
    "singles": ("lora-everywhere",),
    "lr": 5e-3 / SCALE,
    "module_scale": (SCALE,),
}

_BOTH = ("lora-everywhere", "convpass")
"""The pair that is best on 19 real tasks with LoRA in it (docs/log/decision_rule.md)."""

_HALVED = _EVERYWHERE | {
    "lr_grid": (2.0, 0.6, 6.0),
    "halving": True,
    "supernet_epochs": (4,),
    "start": ("inherited",),
}
"""Shorter trainings than two epochs do not tell a high learning rate from one that is too high."""

LEVELS: tuple[Mapping[str, Any], ...] = (
    _EVERYWHERE
    | {
        "epochs": (4,),
        "lr_grid": (2.0,),
        "augmentation": ("none",),
        "supernet_epochs": (1,),
        "generations": 2,
        "population": 12,
        "retrain": 1,
        "start": ("inherited",),
        "inherited_epochs": (1,),
        "baselines": ("linear",),
    },
    _HALVED
    | {
        "epochs": (2, 4),
        "augmentation": ("none",),
        "generations": 3,
        "population": 12,
        "retrain": 1,
        "inherited_epochs": (2, 4),
        "baselines": ("linear",),
    },
    _HALVED
    | {
        "singles": _BOTH,
        "epochs": (2, 4, 8, 16),
        "augmentation": ("none", "crop"),
        "generations": 4,
        "population": 16,
        "retrain": 2,
        "inherited_epochs": (2, 4, 8, 16),
        "average": 3,
        "baselines": ("linear", "full"),
    },
    _HALVED
    | {
        "singles": _BOTH,
        "epochs": (2, 8, 16, 32),
        "augmentation": ("none", "crop"),
        "supernet_epochs": (8,),
        "generations": 6,
        "population": 16,
        "retrain": 2,
        "inherited_epochs": (2, 8, 16, 32),
        "average": 4,
        "baselines": ("linear", "full"),
    },
    _HALVED
    | {
        "singles": (*_BOTH, "houlsby", "ssf"),
        "epochs": (2, 8, 16, 32),
        "augmentation": ("none", "crop"),
        "supernet_epochs": (8, 16),
        "generations": 12,
        "population": 24,
        "retrain": 4,
        "start": ("inherited", "pretrained"),
        "inherited_epochs": (2, 8, 16, 32),
        "average": 4,
        "baselines": ("linear", "full"),
    },
)
"""Options of each level; each level is expected to give at least as good a result as the one before.

Epochs are those of `IMAGES` training images or more; `options_of` has them for fewer.
"""

AUTOMATIC_LEVEL = 3
"""Number of levels among which ``--time auto`` chooses: those whose gain was worth their time."""


def options_of(level: Mapping[str, Any], images: int) -> dict[str, Any]:
    """The options of a level for a number of training images.

    Fewer images than `IMAGES` are trained on for more epochs, so that the number of steps stays the same: an
    epoch of 50 images is one step. For more images the epochs stay, and the time decides for a lower level.
    """
    times = min(_MOST_TIMES, max(1.0, IMAGES / images))
    lengths = ("epochs", "supernet_epochs", "inherited_epochs")
    scaled = {
        name: tuple(round(times * epochs) for epochs in level[name]) for name in lengths if name in level
    }
    return dict(level) | scaled
