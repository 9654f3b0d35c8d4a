"""The stage that ends a search without retraining: the best subnet is tested with inherited weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from safetensors.torch import load

from nas_peft.protocol.reading import read_test_set
from nas_peft.protocol.row_results import of_classes, row_result
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row
from nas_peft.protocol.run_result import write_result
from nas_peft.run.results import SearchResult, SeedResult
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.inherited_network import inherited_network
from nas_peft.scoring.scorer import Fold
from nas_peft.searching.candidate import Candidate
from nas_peft.stages.probe import Probe
from nas_peft.training.final_models import FinalModel, InheritedModel
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.trainings import run_training, trained_network
from search_spaces import Architecture, InputError
from supernet import Evaluation, Supernet, evaluate

PROTOCOL = (
    "The supernet is trained on the training part, and the subnet is chosen by its loss with inherited "
    "weights{where}. It is tested with these weights, without any training of its own. Linear probing is "
    "trained on training and validation part. The test part is read once, by both."
)
WHERE = {
    False: " on the validation part",
    True: " on the images that each supernet was not trained on; its weights are the mean of the supernets'",
}


def finish_without_retraining(
    run: Run[SearchInputs], probe: Probe, folds: Sequence[Fold], ranked: Sequence[Candidate]
) -> SearchResult:
    """Test the best candidate with inherited weights beside linear probing, once, and export that candidate.

    ``ranked`` are the candidates, best first. A search space contains the single methods, so the best
    candidate may be a single method. Raises `InputError`, before the test set is read, if none has a finite
    loss.
    """
    inputs, data, config = run.inputs, run.inputs.dataset, run.inputs.config
    best, network, val = _best(run, folds, ranked)
    alone = (*inputs.single_methods().values(), *inputs.largest_uniform().values())
    single = best.architecture in alone
    chosen = Row(f"candidate-{best.number}", "single" if single else "searched", "subnet", best.architecture)
    linear = Row("linear", "baseline", "linear", Architecture.empty(inputs.space.depth))
    shared = inputs.for_trainings(probe.features)
    assert val.logits is not None  # asked for
    (on_train,) = linear.trainings(config, probe.recipe, [config.seed], "train")
    (on_both,) = linear.trainings(config, probe.recipe, [config.seed], "train_val")
    compared, _ = run_training(on_train, shared, run.device)
    final, tensors = run_training(on_both, shared, run.device)
    models: dict[tuple[Row, int], FinalModel] = {
        (chosen, config.seed): InheritedModel(network, {"weights": "inherited", "candidate": best.to_dict()}),
        (linear, config.seed): InheritedModel(
            trained_network(on_both, load(tensors), shared, run.device), on_both.to_dict()
        ),
    }
    reading = read_test_set(run, models, {"exported": chosen.name, "seeds": [config.seed]})
    test = reading.tests[chosen, config.seed]
    seed = SeedResult(
        seed=config.seed,
        lr=None,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        **of_classes(ImageScores.of(val.logits, data.val.labels), test, len(data.classes)),
        image_passes=0,
        seconds=0.0,
        losses=[],
    )
    searched = row_result(
        inputs, probe.recipe, RowRuns(chosen, metric=config.metric), reading.tests, selected=True
    )
    runs = RowRuns(linear, [compared], [compared], [final], metric=config.metric)
    return write_result(
        run,
        protocol=PROTOCOL.format(where=WHERE[config.folds > 1]),
        rows=[
            searched.model_copy(update={"seeds": [seed], "label": f"{_of_what(chosen)}, inherited weights"}),
            row_result(inputs, probe.recipe, runs, reading.tests, selected=False),
        ],
        paired=None,
        decision=None,
        reading=reading,
        exported=models[chosen, config.seed],
        scores=ImageScores.of(val.logits, data.val.labels),
    )


def _best(
    run: Run[SearchInputs], folds: Sequence[Fold], ranked: Sequence[Candidate]
) -> tuple[Candidate, Supernet, Evaluation]:
    """The first candidate with a finite loss, its network, and that network on the validation part.

    With folds the network is the mean of several, whose loss may overflow where theirs do not.
    """
    for candidate in ranked:
        if not isfinite(candidate.loss):
            continue
        network, found = scored_inherited(run.inputs, folds, candidate.architecture)
        if isfinite(found.loss):
            return candidate, network, found
    raise InputError(
        "no candidate within the budget has a finite loss with the supernet's weights; give a lower "
        "--supernet-lr or a larger --budget and another --out, or leave --no-retrain out"
    )


def scored_inherited(
    inputs: SearchInputs, folds: Sequence[Fold], architecture: Architecture
) -> tuple[Supernet, Evaluation]:
    """A subnet with inherited weights, and its scores on the validation part, logits among them."""
    network, val = inherited_network(folds, architecture), inputs.dataset.val
    return network, evaluate(
        network,
        val.images,
        val.labels,
        preprocessing=inputs.preprocessing,
        precision=inputs.config.chosen_precision,
        keep_logits=True,
    )


def _of_what(row: Row) -> str:
    """What a candidate is, without a word that would say it was trained."""
    return row.label.removesuffix(" alone")
