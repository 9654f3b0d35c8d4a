"""The stage that trains the supernet."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nas_peft.corruptions.choosing import corrupted_for_choice
from nas_peft.machine.peak_memory import largest
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord, SupernetsRecord
from nas_peft.scoring.scorer import Fold
from nas_peft.stages.supernet_choice import (
    CHOICE,
    choose_supernets,
    chosen_name,
    chosen_recipe,
    in_words,
    is_chosen,
    read_choice,
)
from nas_peft.stages.supernet_parts import left_out_trainings, supernet_trainings
from nas_peft.stages.supernet_recipe import JUDGED, recipe_name
from nas_peft.stages.trained_supernet import is_trained, trained_supernet
from search_spaces import InputError


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

            supernet, record = trained_supernet(run, training, on_epoch)
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
    the last saved epoch.

    If the configuration names several recipes (epochs, augmentations, class balances), supernets are trained
    by each, `judge` chooses the supernets to return, and the files of the rest are removed.
    """
    inputs, folder = run.inputs, run.folder
    recipes = {
        recipe_name(recipe): supernet_trainings(inputs, features, folder, recipe)
        for recipe in inputs.config.supernet_recipes()
    }
    chosen = read_choice(folder)
    found: dict[str, list[Fold]] = {name: [] for name in recipes}
    records: list[SupernetRecord] = []
    total = sum(training.recipe.epochs for trainings in recipes.values() for training, _ in trainings)
    before = 0
    with run.bars.counted("supernet (epochs)", total) as bar:
        for name, trainings in recipes.items():
            for training, unseen in trainings:

                def on_epoch(done: int, before: int = before) -> None:
                    bar.move_to(before + done)

                known = is_trained(folder, training)
                if chosen is not None and name != chosen_name(chosen):
                    known = True
                    record = folder.required_stage(training.name, SupernetRecord)  # without its weights
                else:
                    supernet, record = trained_supernet(run, training, on_epoch)
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
        chosen = choose_supernets(inputs, found)
        folder.write_stage(CHOICE, chosen)
    best = chosen_name(chosen)
    for name, trainings in recipes.items():
        for training, _ in trainings:
            if name != best:
                training.weights.unlink(missing_ok=True)
    run.bars.say(
        f"The supernet of {in_words(best)} is searched: median loss of {JUDGED} subnets on unseen images "
        "after " + "; ".join(f"{in_words(name)} {loss:.3f}" for name, loss in chosen.losses.items())
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


def read_supernets(inputs: SearchInputs, folder: RunFolder, device: str) -> list[Fold]:
    """The trained supernets of a run. Raises `InputError` if their training has not finished."""
    features = torch.empty(0)  # only needed for training
    recipes = inputs.config.supernet_recipes()
    if len(recipes) > 1:
        recipes = [recipe for recipe in recipes if is_chosen(recipe, read_choice(folder))]
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
