"""The stage that trains the supernet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from nas_peft.corruptions.choosing import corrupted_for_choice
from nas_peft.data import Part
from nas_peft.data.folds import others, stratified_folds
from nas_peft.machine.accelerator import leave_gpu, return_freed_memory
from nas_peft.machine.peak_memory import largest
from nas_peft.machine.process_group import run_together
from nas_peft.machine.ray_session import LOCAL
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetChoiceRecord, SupernetRecord, SupernetsRecord
from nas_peft.scoring.balanced import scorer_for
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.stages.supernet_chooser import supernet_chooser
from nas_peft.stages.supernet_on_ray import train_on_ray
from nas_peft.stages.supernet_recipe import JUDGED, judge, judged_subnets, recipe_name
from nas_peft.stages.supernet_training import SupernetTraining
from search_spaces import InputError
from search_spaces.streams import stream
from supernet import Recipe, Supernet

CHOICE = "supernet-recipe"
"""Name of the stage that chooses among supernets trained by different recipes."""


@dataclass(frozen=True)
class TrainedSupernets:
    """The supernets, each with the images that it was not trained on, and their cost.

    ``left_out`` are those of the robust objective, each with the images of the domain that it was not trained
    on, by the domain's name; none where the training set has fewer than two domains.
    """

    folds: list[Fold]
    record: SupernetsRecord
    left_out: dict[str, Fold] = field(default_factory=dict)

    def shifted(self, seed: int) -> list[Fold]:
        """The supernets with shifted images: corrupted copies of each fold's, then the left-out domains."""
        copies = [Fold(fold.supernet, corrupted_for_choice(fold.part, seed)) for fold in self.folds]
        return [*copies, *self.left_out.values()]


def train_supernets(run: Run[SearchInputs], features: Tensor) -> TrainedSupernets:
    """Train the supernets of a run, and those of left-out domains that the robust objective needs.

    See `_supernets_of_folds` for the former. A supernet of a left-out domain is trained on the training
    images of all other domains, by the chosen recipe, with its epochs divided as among folds.
    """
    found = _supernets_of_folds(run, features)
    inputs = run.inputs
    domains = inputs.left_out_domains()
    if not domains:
        return found
    recipe = chosen_recipe(inputs, run.folder)
    trainings = left_out_trainings(inputs, features, run.folder, recipe, domains)
    folds: dict[str, Fold] = {}
    records: list[SupernetRecord] = []
    total, before = sum(training.recipe.epochs for training, _ in trainings), 0
    with run.bars.counted("left-out domains (epochs)", total) as bar:
        for domain, (training, unseen) in zip(domains, trainings, strict=True):

            def on_epoch(done: int, before: int = before) -> None:
                bar.move_to(before + done)

            supernet, record = _trained(run, training, on_epoch)
            folds[domain] = Fold(supernet.eval(), unseen)
            records.append(record)
            before += training.recipe.epochs
            bar.move_to(before)
    cost = found.record.model_copy(
        update={
            "seconds": found.record.seconds + sum(record.seconds for record in records),
            "image_passes": found.record.image_passes + sum(record.image_passes for record in records),
            "supernets": [*found.record.supernets, *records],
        }
    )
    return TrainedSupernets(found.folds, cost, folds)


def _supernets_of_folds(run: Run[SearchInputs], features: Tensor) -> TrainedSupernets:
    """Train the supernets of a run; ``features (N, d)`` are the pretrained features of train, then val.

    A single supernet is trained on the training set, and its subnets are scored on the validation set. With
    ``folds`` there is a supernet for each fold of the training set, trained on the other folds and scored on
    its own. The epochs are divided among these supernets (rounded), so that together they take the image
    passes of a single one. Finished supernets are read from the folder, and an unfinished one resumes after
    the last saved epoch. With ``data_parallel`` that many processes train each supernet, which is then read
    from its file: workers of the Ray at an address if one is given, else processes of this machine.

    If the configuration names several recipes (epochs, augmentations, class balances), supernets are trained
    by each, `judge` chooses the supernets to return, and the files of the rest are removed.
    """
    inputs, folder = run.inputs, run.folder
    recipes = {
        recipe_name(recipe): supernet_trainings(inputs, features, folder, recipe)
        for recipe in inputs.config.supernet_recipes()
    }
    chosen = _read_choice(folder)
    found: dict[str, list[Fold]] = {name: [] for name in recipes}
    records: list[SupernetRecord] = []
    total = sum(training.recipe.epochs for trainings in recipes.values() for training, _ in trainings)
    before = 0
    with run.bars.counted("supernet (epochs)", total) as bar:
        for name, trainings in recipes.items():
            for training, unseen in trainings:

                def on_epoch(done: int, before: int = before) -> None:
                    bar.move_to(before + done)

                known = _is_trained(folder, training)
                if chosen is not None and name != _chosen_name(chosen):
                    known = True
                    record = folder.required_stage(training.name, SupernetRecord)  # without its weights
                else:
                    supernet, record = _trained(run, training, on_epoch)
                    found[name].append(Fold(supernet.eval(), unseen))
                records.append(record)
                before += training.recipe.epochs
                if known:
                    run.bars.find(training.recipe.epochs)
                bar.move_to(before)
                run.bars.tell("supernet", name=training.name, train_losses=record.losses, found=known)
    cost = SupernetsRecord(
        seconds=sum(record.seconds for record in records),
        image_passes=sum(record.image_passes for record in records),
        peak_memory=largest(record.peak_memory for record in records),
        supernets=records,
    )
    if len(recipes) == 1:
        return TrainedSupernets(next(iter(found.values())), cost)
    if chosen is None:
        chosen = _choose(inputs, found)
        folder.write_stage(CHOICE, chosen)
    best = _chosen_name(chosen)
    for name, trainings in recipes.items():
        for training, _ in trainings:
            if name != best:
                training.weights.unlink(missing_ok=True)
    run.bars.say(
        f"The supernet of {_in_words(best)} is searched: median loss of {JUDGED} subnets on unseen images "
        "after " + "; ".join(f"{_in_words(name)} {loss:.3f}" for name, loss in chosen.losses.items())
    )
    of_choice = {
        "seconds": cost.seconds + chosen.seconds,
        "epochs": chosen.epochs,
        "augmentation": chosen.augmentation,
        "class_balance": chosen.class_balance,
        "losses": chosen.losses,
        "image_passes_forward": chosen.image_passes_forward,
    }
    return TrainedSupernets(found[best], cost.model_copy(update=of_choice))


def _choose(inputs: SearchInputs, found: Mapping[str, list[Fold]]) -> SupernetChoiceRecord:
    started = time.perf_counter()
    subnets = judged_subnets(inputs.sampler.sample, inputs.config.seed)
    judged = {
        name: judge(
            scorer_for(
                inputs.config.metric,
                LocalScorer(folds, inputs.preprocessing, inputs.config.chosen_precision),
                [fold.part.labels for fold in folds],
            ),
            subnets,
        )
        for name, folds in found.items()
    }
    best = min(judged, key=lambda name: judged[name].loss)
    recipe = next(r for r in inputs.config.supernet_recipes() if recipe_name(r) == best)
    return SupernetChoiceRecord(
        epochs=recipe.epochs,
        augmentation=recipe.augmentation,
        class_balance=recipe.class_balance,
        recipe=best,
        losses={name: judgement.loss for name, judgement in judged.items()},
        image_passes_forward=sum(judgement.image_passes for judgement in judged.values()),
        seconds=time.perf_counter() - started,
    )


def _read_choice(folder: RunFolder) -> SupernetChoiceRecord | None:
    """The recorded choice among supernets; version 0.1 chose among numbers of epochs alone."""
    found = folder.read_stage(CHOICE, SupernetChoiceRecord)
    return found or folder.read_stage("supernet-length", SupernetChoiceRecord)


def _chosen_name(chosen: SupernetChoiceRecord) -> str:
    if chosen.recipe is not None:
        return chosen.recipe
    return f"{chosen.epochs}" if chosen.augmentation == "none" else f"{chosen.epochs} {chosen.augmentation}"


def _in_words(name: str) -> str:
    epochs, *variants = name.split(" ")
    return f"{epochs} epochs" + (f" with {' and '.join(variants)}" if variants else "")


def read_supernets(inputs: SearchInputs, folder: RunFolder, device: str) -> list[Fold]:
    """The trained supernets of a run. Raises `InputError` if their training has not finished."""
    features = torch.empty(0)  # only needed for training
    recipes = inputs.config.supernet_recipes()
    if len(recipes) > 1:
        recipes = [recipe for recipe in recipes if _is_chosen(recipe, _read_choice(folder))]
    trainings = [
        training for recipe in recipes for training in supernet_trainings(inputs, features, folder, recipe)
    ]
    read = [folder.read_stage(training.name, SupernetRecord) for training, _ in trainings]
    if not read or None in read:
        raise InputError(
            f"the run in '{folder.path}' has not finished training its supernet; first repeat the "
            "same nas-peft search command to resume"
        )
    return [Fold(training.read(device).eval(), unseen) for training, unseen in trainings]


def read_left_out(inputs: SearchInputs, folder: RunFolder, device: str) -> dict[str, Fold]:
    """The trained supernets of a run that left out a domain, by domain; none where there are no such.

    Raises `InputError` as `read_supernets` does.
    """
    domains = inputs.left_out_domains()
    if not domains:
        return {}
    features = torch.empty(len(inputs.dataset.train), 0)  # only needed for training
    trainings = left_out_trainings(inputs, features, folder, chosen_recipe(inputs, folder), domains)
    return {
        domain: Fold(training.read(device).eval(), unseen)
        for domain, (training, unseen) in zip(domains, trainings, strict=True)
    }


def chosen_recipe(inputs: SearchInputs, folder: RunFolder) -> Recipe:
    """The recipe of the searched supernet; the only one where the choice has been made."""
    recipes = inputs.config.supernet_recipes()
    if len(recipes) == 1:
        return recipes[0]
    return next(recipe for recipe in recipes if _is_chosen(recipe, _read_choice(folder)))


def _is_chosen(recipe: Recipe, chosen: SupernetChoiceRecord | None) -> bool:
    return chosen is not None and recipe_name(recipe) == _chosen_name(chosen)


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
    shared = replace(recipe, epochs=max(1, round(recipe.epochs / (config.folds - 1))))
    folds = stratified_folds(train_part.labels, config.folds, stream(config.seed, "folds"))
    found = []
    for i, left_out in enumerate(folds):
        seen = others(folds, i)
        of_seen = of_train[seen] if len(of_train) else of_train
        found.append(
            (training(f"{stem}-fold{i}", train_part.take(seen), of_seen, shared), train_part.take(left_out))
        )
    return found


def _is_trained(folder: RunFolder, training: SupernetTraining) -> bool:
    """Whether a supernet and its record are in the run folder."""
    return folder.read_stage(training.name, SupernetRecord) is not None and training.weights.exists()


def _trained(
    run: Run[SearchInputs], training: SupernetTraining, on_epoch: Callable[[int], None]
) -> tuple[Supernet, SupernetRecord]:
    """The trained supernet and its record, read from the run folder if both are there."""
    record = run.folder.read_stage(training.name, SupernetRecord)
    if record is not None and training.weights.exists():
        return training.read(run.device), record
    processes = run.inputs.config.data_parallel
    if run.devices.elsewhere or (processes > 1 and run.ray.place.address != LOCAL):
        curve, peak = train_on_ray(
            training,
            run.folder.path,
            device=run.devices.workers,
            ray_options=run.ray,
            on_epoch=on_epoch,
            processes=processes,
        )
        supernet = training.read(run.device)
    elif processes == 1:
        supernet, curve, peak = training.run(run.device, on_epoch)
    else:
        leave_gpu(training.backbone.model, run.device)
        curve, peak = run_together(training, processes, run.device, on_epoch)
        supernet = training.read(run.device)
    record = SupernetRecord(
        seconds=curve.seconds, image_passes=curve.image_passes, peak_memory=peak, losses=curve.losses
    )
    run.folder.write_stage(training.name, record)
    training.state.unlink(missing_ok=True)
    return_freed_memory()
    return supernet, record
