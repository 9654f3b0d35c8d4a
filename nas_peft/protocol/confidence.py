"""How sure the choice is: the exported row against the others, on resampled validation images and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas_peft.protocol.compared_trainings import Choice
from nas_peft.protocol.decision import FRACTION, ROBUST_FRACTION
from nas_peft.protocol.rows import Params, Row, Scores, best_row, may_be_exported
from nas_peft.run.results import DecisionResult, RivalResult, Role, Verdict
from nas_peft.settings.metric import LABELS, Metric
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import resampled
from search_spaces.streams import stream

RESAMPLES = 2000
TIE = (0.1, 0.9)
"""Probabilities of being better between which two rows are called a tie."""

_RULE = (
    "the {best}; of {those} within {fraction:g} standard errors of it, paired by image, the "
    "lowest loss after temperature scaling on other images; of losses within as many of that, the fewest "
    "parameters"
)
RULES: Mapping[Metric, str] = {
    "accuracy": _RULE.format(best="highest accuracy", those="accuracies", fraction=FRACTION),
    "balanced-accuracy": _RULE.format(
        best="highest balanced accuracy", those="balanced accuracies", fraction=FRACTION
    ),
    "macro-f1": _RULE.format(best="highest macro F1", those="values of macro F1", fraction=FRACTION),
    "log-loss": "the lowest loss after temperature scaling on other images; of losses within "
    f"{FRACTION:g} standard errors of it, paired by image, the fewest parameters",
}
ROBUST_RULE = (
    "of the rows whose loss after temperature scaling on other images is at most {margin:g} above the "
    f"lowest, and of them those within {ROBUST_FRACTION:g} standard errors of the {{best}}, the one with "
    "the lowest loss on shifted images (corrupted copies of the validation images, left-out domains)"
)
"""The rule with --objective robust."""
_CHUNK = 100  # resamples at a time, to bound the memory


def decision_result(
    choice: Choice, scores: Mapping[Row, Scores], params: Params, seed: int, allow_full: bool = False
) -> DecisionResult:
    """The exported row against every other row with scores, and against the ones that a reader asks about.

    ``scores`` are those of all rows that did not fail, with the scores of their images. ``seed`` decides the
    resamples.
    """
    exported = choice.exported
    metric = scores[exported].metric
    drawn = resampled_scores({row.name: of.images for row, of in scores.items()}, seed, metric)
    contestants = {row: of.contestant(row.name, params(row)) for row, of in scores.items()}
    rivals = []
    for row in scores:
        if row is not exported:
            differences = drawn[exported.name] - drawn[row.name]
            better = probability_of_more(differences)
            low, high = np.quantile(differences, (0.05, 0.95))
            rivals.append(
                RivalResult(
                    row=row.name,
                    difference=contestants[exported].accuracy - contestants[row].accuracy,
                    loss_difference=contestants[exported].loss - contestants[row].loss,
                    interval=(float(low), float(high)),
                    better=better,
                    verdict=verdict(better),
                )
            )
    competing = [row for row in scores if may_be_exported(row, allow_full)]
    best = np.max([drawn[row.name] for row in competing], axis=0)
    chosen = contestants[exported]
    robust = chosen.shifted_loss is not None
    best_of = f"{'lowest' if metric == 'log-loss' else 'highest'} {LABELS[metric]}"
    return DecisionResult(
        rule=ROBUST_RULE.format(margin=chosen.margin, best=best_of) if robust else RULES[metric],
        metric=metric,
        fraction=ROBUST_FRACTION if robust else FRACTION,
        by=choice.decision.by,
        among=len(competing),
        images=len(next(iter(scores.values())).images[0].labels),
        resamples=RESAMPLES,
        roles=_roles(choice, competing, scores, params),
        rivals=rivals,
        expected_regret=float((best - drawn[exported.name]).mean()),
        loss=contestants[exported].loss,
        robust=robust,
    )


def _roles(
    choice: Choice, competing: Sequence[Row], scores: Mapping[Row, Scores], params: Params
) -> dict[Role, str]:
    """The names of the rivals that a reader asks about, as far as they are in the run.

    The best searched subnet is a rival of another row than itself or an average of its trainings: that it
    is one says that the search has lost.
    """
    exported = choice.exported
    others = [row for row in competing if row is not exported]
    second = best_row(others, scores, params)
    found: dict[Role, Row | None] = {
        "full": next((row for row in scores if row.name == "full"), None),
        "single": choice.single,
        "searched": None if exported.group == "searched" else choice.searched,
        "runner_up": second[0] if second else None,
    }
    return {role: row.name for role, row in found.items() if row is not None and row is not exported}


def resampled_scores(
    images: Mapping[str, Sequence[ImageScores]], seed: int, metric: Metric = "accuracy"
) -> dict[str, NDArray[np.float64]]:
    """The metric of each row in each resample: the same images of all rows, and seeds of each row by itself.

    A row of one seed has no variance of seeds; its certainty is about images alone.
    """
    rng = stream(seed, "certainty of the decision")
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in images}
    count = len(next(iter(images.values()))[0].labels)
    for weights in _weights(rng, count):
        for name, of in images.items():
            by_seed = np.stack([resampled(metric, weights, scores) for scores in of], axis=1)
            of_seeds = rng.integers(0, len(of), by_seed.shape)
            found[name].append(np.take_along_axis(by_seed, of_seeds, axis=1).mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _weights(rng: np.random.Generator, images: int) -> Iterator[NDArray[np.float64]]:
    """Shares of the images in each resample, ``(resamples, images)``, in chunks."""
    for _ in range(RESAMPLES // _CHUNK):
        yield rng.multinomial(images, np.full(images, 1 / images), size=_CHUNK) / images


def probability_of_more(differences: NDArray[np.float64]) -> float:
    """Share of positive differences; a difference of zero counts as half."""
    level = np.abs(differences) < 1e-12
    return float((differences[~level] > 0).sum() + 0.5 * level.sum()) / len(differences)


def verdict(better: float) -> Verdict:
    """The exported row's verdict against another, by the probability that the exported row is better."""
    least, most = TIE
    return "tie" if least <= better <= most else "better" if better > most else "worse"
