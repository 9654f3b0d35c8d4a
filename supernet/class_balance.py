"""What a training does about classes of unequal size: weights, balanced sampling, logit adjustment.

``head-retrained`` is a training as with ``none``; its caller then trains the head again, with every class
equally likely.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from search_spaces import InputError

ClassBalanceName: TypeAlias = Literal["none", "weighted", "sampled", "logit-adjusted", "head-retrained"]

CLASS_BALANCES: tuple[ClassBalanceName, ...] = get_args(ClassBalanceName)
"""Names of the choices; see `supernet.Recipe`."""


def require_class_balance(name: str) -> None:
    """Raise `InputError` for an unknown choice."""
    if name not in CLASS_BALANCES:
        raise InputError(f"class_balance is '{name}'; give one of {', '.join(CLASS_BALANCES)}")


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weight ``(C,)`` of each class, inverse to its number of images; float64.

    The weights are N / (K·n) for N images of K classes, n of the class, as scikit-learn's ``class_weight``
    ``"balanced"``: their mean over the images is 1. A class without images has weight 0.
    """
    counts = torch.bincount(labels, minlength=classes).double()
    present = counts > 0
    weights = len(labels) / (present.sum() * counts.clamp(min=1))
    return torch.where(present, weights, 0.0)


def log_priors(labels: Tensor, classes: int) -> Tensor:
    """Logarithm ``(C,)`` of each class's share of the images; float64.

    A class without images counts as one with a single image, so that the result is finite.
    """
    counts = torch.bincount(labels, minlength=classes).double().clamp(min=1)
    return (counts / counts.sum()).log()


def balanced_examples(labels: Tensor, generator: torch.Generator) -> Tensor:
    """As many examples ``(N,)`` as there are ``labels (N,)``, drawn with every class equally likely.

    Classes and their images are drawn with replacement. The k-th example of image i (k from 0) is the number
    i + k·N, so that augmentation can tell the examples of one image apart; see `image_of`.
    """
    images, labels = len(labels), labels.cpu()
    by_class = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels)
    starts, present = counts.cumsum(0) - counts, counts.nonzero().flatten()
    drawn = present[torch.randint(len(present), (images,), generator=generator)]
    shares = torch.rand(images, dtype=torch.float64, generator=generator)
    chosen = by_class[starts[drawn] + (shares * counts[drawn]).long()]
    # the rank of each example among those of its image: sorted by image, its place after the image's first
    order = torch.argsort(chosen, stable=True)
    repeats = torch.bincount(chosen, minlength=images)
    first = (repeats.cumsum(0) - repeats)[chosen[order]]
    ranks = torch.empty_like(chosen)
    ranks[order] = torch.arange(images) - first
    return chosen + ranks * images


def draw_row(examples: Tensor, images: int) -> Tensor:
    """The row of each example in a table of draws with a row for each image.

    The first example of an image has the image's own row, and each further one the next row.
    """
    return image_of(examples + examples.div(images, rounding_mode="floor"), images)


def image_of(examples: Tensor, images: int) -> Tensor:
    """The index of each example's image, of ``images`` images."""
    return examples % images
