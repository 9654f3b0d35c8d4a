"""The supernets of a run: the images that each is trained on, and those that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.folds import others, stratified_folds
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.stages.supernet_chooser import supernet_chooser
from nas_peft.stages.supernet_training import SupernetTraining
from search_spaces import InputError
from search_spaces.streams import stream
from supernet import Recipe


def supernet_trainings(
    inputs: SearchInputs, features: Tensor, folder: RunFolder, recipe: Recipe
) -> list[tuple[SupernetTraining, Part]]:
    """The training of each supernet by ``recipe``, with the images that it is not trained on."""
    config, train_part = inputs.config, inputs.dataset.train
    stem = "supernet"
    if len(config.supernet_recipes()) > 1:
        stem += f"-{recipe.epochs}-epochs"
        stem += "".join(f"-{name}" for name in recipe.variants)

    training = partial(_training, inputs, folder)
    of_train = features[: len(train_part)]
    if config.folds == 1:
        return [(training(stem, train_part, of_train, recipe), inputs.dataset.val)]
    if len(train_part) < config.folds:
        raise InputError(
            f"folds is {config.folds}, but the training set has {len(train_part)} images; give fewer folds"
        )
    shared = _of_fold(inputs, recipe)
    folds = stratified_folds(train_part.labels, config.folds, stream(config.seed, "folds"))
    found = []
    for i, left_out in enumerate(folds):
        seen = others(folds, i)
        of_seen = of_train[seen] if len(of_train) else of_train
        found.append(
            (training(f"{stem}-fold{i}", train_part.take(seen), of_seen, shared), train_part.take(left_out))
        )
    return found


def final_training(
    inputs: SearchInputs, features: Tensor, folder: RunFolder, recipe: Recipe
) -> SupernetTraining:
    """The training of a supernet on all images but the test set's, by the chosen ``recipe``.

    It has as many epochs as each of the supernets whose weights the retrained subnets inherit.
    """
    return _training(
        inputs, folder, "supernet-final", inputs.dataset.train_val, features, _of_fold(inputs, recipe)
    )


def left_out_trainings(
    inputs: SearchInputs, features: Tensor, folder: RunFolder, recipe: Recipe, domains: Mapping[str, Tensor]
) -> list[tuple[SupernetTraining, Part]]:
    """The training of a supernet without each domain, by `domain_folds`, with the images of that domain."""
    part = inputs.dataset.train
    shared = replace(recipe, epochs=max(1, round(recipe.epochs / (len(domains) - 1))))
    found = []
    for number, left_out in enumerate(domains.values()):
        seen = torch.ones(len(part), dtype=torch.bool)
        seen[left_out] = False
        kept = seen.nonzero().flatten()
        training = _training(
            inputs, folder, f"supernet-domain{number}", part.take(kept), features[kept], shared
        )
        found.append((training, part.take(left_out)))
    return found


def _of_fold(inputs: SearchInputs, recipe: Recipe) -> Recipe:
    """The recipe of each fold's supernet: they share the epochs; without folds ``recipe`` itself."""
    folds = inputs.config.folds
    return recipe if folds == 1 else replace(recipe, epochs=max(1, round(recipe.epochs / (folds - 1))))


def _training(
    inputs: SearchInputs, folder: RunFolder, name: str, part: Part, features: Tensor, recipe: Recipe
) -> SupernetTraining:
    """The training of a supernet on ``part`` with its ``features (N, d)``."""
    config = inputs.config
    head = config.head_recipe()
    return SupernetTraining(
        name=name,
        backbone=inputs.backbone,
        capacity=inputs.space.largest(),
        classes=len(inputs.dataset.classes),
        part=part,
        features=features,
        preprocessing=inputs.preprocessing,
        chooser=supernet_chooser(inputs),
        recipe=recipe,
        head=None if head is None else replace(head, class_balance=recipe.class_balance),
        execution=config.execution("supernet"),
        seed=config.seed,
        module_files=tuple(file.resolve() for file in config.module_files),
        weights=folder.path / f"{name}.safetensors",
        state=folder.path / f"{name}.state.pt",
    )
