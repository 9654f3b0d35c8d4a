"""Balanced retraining of the head after a training, for classes of unequal size."""

from __future__ import annotations

import time
from dataclasses import replace

from nas_peft.data import Part
from search_spaces import Architecture
from supernet import (
    Constant,
    Curve,
    Execution,
    Preprocessing,
    Recipe,
    Supernet,
    pooled_features,
    train,
)
from supernet.execution import PLAIN

EPOCHS = 20
LR = 3e-3
"""Epochs and peak rate of the head, those of the head that is trained before modules by default."""


def retrain_head(
    network: Supernet,
    architecture: Architecture,
    part: Part,
    recipe: Recipe,
    preprocessing: Preprocessing,
    seed: int,
    *,
    curve: Curve,
    execution: Execution = PLAIN,
) -> None:
    """Train the head alone again, with every class equally likely, if the recipe asks for it.

    The features are those of the trained network, whose modules and backbone stay as they are (classifier
    retraining, Kang et al. 2020, arXiv 1910.09217): what was learned from all images serves a head that does
    not favour the large classes. There the head starts anew; here it goes on from the trained one, for few
    images train no new one in as many steps. Time and the pass over the images are added to ``curve``.

    Raises `supernet.NonFiniteLoss`.
    """
    if recipe.class_balance != "head-retrained":
        return
    started = time.perf_counter()
    features = pooled_features(
        network.eval(), part.images, preprocessing, architecture=architecture, precision=execution.precision
    )
    train(
        network,
        features,
        part.labels,
        preprocessing=preprocessing,
        chooser=Constant(architecture),
        recipe=replace(Recipe(EPOCHS, LR, batch_size=recipe.batch_size), class_balance="sampled"),
        seed=seed,
        trainable="head",
        features=features,
    )
    curve.seconds += time.perf_counter() - started
    curve.image_passes += len(part)
