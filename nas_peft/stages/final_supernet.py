"""What searched subnets are trained on from: weights of supernets that have seen the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.inherited_network import inherited_tensors
from nas_peft.scoring.scorer import Fold
from nas_peft.stages.supernet_choice import chosen_recipe
from nas_peft.stages.supernet_parts import final_training
from nas_peft.stages.trained_supernet import is_trained, trained_supernet
from search_spaces import Architecture

FINAL_SUPERNET = "final supernet"


def inherited_starts(
    run: Run[SearchInputs],
    features: Tensor,
    subnets: Mapping[str, Architecture],
    supernets: Sequence[Fold],
    left_out: Mapping[str, Fold],
) -> InheritedStarts:
    """What the named ``subnets`` are trained on from.

    On the training set that is what they inherit from the searched ``supernets``, and without a domain what
    they inherit from the supernet that ``left_out`` that domain.

    For the final models a supernet is trained again, on training and validation set. From weights that have
    not seen a part of the images, further training is no better than from new modules
    (docs/log/warm_starts.md): the gain that validation saw would be lost in the exported model. ``features
    (N, d)`` are the pretrained ones of all these images.
    """
    training = final_training(run.inputs, features, run.folder, chosen_recipe(run.inputs, run.folder))
    known, epochs = is_trained(run.folder, training), training.recipe.epochs
    with run.bars.counted(f"{FINAL_SUPERNET} (epochs)", epochs) as bar:
        final, record = trained_supernet(run, training, bar.move_to)
        if known:
            run.bars.find(epochs)
        bar.move_to(epochs)
    run.costs.add(FINAL_SUPERNET, record)
    seen_all = Fold(final.eval(), run.inputs.dataset.val)

    def of(folds: Sequence[Fold]) -> dict[str, dict[str, Tensor]]:
        return {name: inherited_tensors(folds, subnet) for name, subnet in subnets.items()}

    return InheritedStarts(
        train=of(supernets),
        train_val=of([seen_all]),
        without={domain: of([fold]) for domain, fold in left_out.items()},
    )
