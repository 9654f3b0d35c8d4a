"""The choice among supernets that were trained by different recipes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from nas_peft.data.count_words import count_words
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetChoiceRecord
from nas_peft.scoring.balanced import scorer_for
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.stages.supernet_recipe import judge, judged_subnets, recipe_name
from supernet import Recipe

CHOICE = "supernet-recipe"
"""Name of the stage that chooses among supernets trained by different recipes."""


def choose_supernets(inputs: SearchInputs, found: Mapping[str, Sequence[Fold]]) -> SupernetChoiceRecord:
    """Choose among supernets, by the name of their recipe, with the images that they have not seen."""
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


def read_choice(folder: RunFolder) -> SupernetChoiceRecord | None:
    """The recorded choice among supernets; version 0.1 chose among numbers of epochs alone."""
    found = folder.read_stage(CHOICE, SupernetChoiceRecord)
    return found or folder.read_stage("supernet-length", SupernetChoiceRecord)


def chosen_name(chosen: SupernetChoiceRecord) -> str:
    """The name of the chosen recipe, see `recipe_name`."""
    if chosen.recipe is not None:
        return chosen.recipe
    return f"{chosen.epochs}" if chosen.augmentation == "none" else f"{chosen.epochs} {chosen.augmentation}"


def in_words(name: str) -> str:
    """A recipe by its name, as sentences have it: ``4 epochs with crop``."""
    epochs, *variants = name.split(" ")
    return count_words(int(epochs), "epochs") + (f" with {' and '.join(variants)}" if variants else "")


def chosen_recipe(inputs: SearchInputs, folder: RunFolder) -> Recipe:
    """The recipe of the searched supernet; the only one where the choice has been made."""
    recipes = inputs.config.supernet_recipes()
    if len(recipes) == 1:
        return recipes[0]
    return next(recipe for recipe in recipes if is_chosen(recipe, read_choice(folder)))


def is_chosen(recipe: Recipe, chosen: SupernetChoiceRecord | None) -> bool:
    """Whether ``recipe`` is the chosen one."""
    return chosen is not None and recipe_name(recipe) == chosen_name(chosen)
