"""The rule of the choice: accuracy, then calibrated loss, then the cheaper; whatever the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.protocol.decision import Contestant, Decision, decide, ranked, standard_error
from nas_peft.settings.metric import METRICS
from nas_peft.training.image_scores import ImageScores, ShiftedScores


def contestant(name: str, hits: list[float], losses: list[float], params: int = 10) -> Contestant:
    right, of = np.array(hits, dtype=float), np.array(losses, dtype=float)
    return Contestant(name, params, float(right.mean()), float(of.mean()), right, of)


@st.composite
def fields(draw: st.DrawFn) -> list[Contestant]:
    """Two to six contestants on the same images, with many ties."""
    images = draw(st.integers(1, 12))
    values = st.lists(st.sampled_from([0.0, 1.0]), min_size=images, max_size=images)
    losses = st.lists(st.sampled_from([0.1, 0.2, 0.9]), min_size=images, max_size=images)
    return [
        contestant(f"c{i}", draw(values), draw(losses), draw(st.sampled_from([1, 2, 3])))
        for i in range(draw(st.integers(2, 6)))
    ]


@given(fields(), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.5, 2.0]))
def test_the_order_does_not_matter(field: list[Contestant], random, fraction: float):
    shuffled = list(field)
    random.shuffle(shuffled)
    assert decide(shuffled, fraction) == decide(field, fraction)


@given(fields(), st.sampled_from([0.0, 0.5, 2.0, 100.0]))
def test_a_dominated_contestant_never_wins(field: list[Contestant], fraction: float):
    chosen = decide(field, fraction).name
    (winner,) = (c for c in field if c.name == chosen)
    assert not any(other.dominates(winner) for other in field)
    no_images = decide([c.without_images() for c in field], fraction).name
    best = max(field, key=lambda c: c.accuracy)
    assert next(c for c in field if c.name == no_images).accuracy == best.accuracy


@given(fields())
def test_of_equals_the_cheaper_wins(field: list[Contestant]):
    winner = next(c for c in field if c.name == decide(field).name)
    cheaper = replace(winner, name="cheaper", params=winner.params - 1)
    assert decide([*field, cheaper]).name == "cheaper"


@given(fields())
def test_of_copies_the_first_name_wins(field: list[Contestant]):
    winner = next(c for c in field if c.name == decide(field).name)
    assert decide([replace(winner, name=f"{winner.name}-soup"), *field]).name == winner.name


def test_each_step_decides_in_turn():
    """Of 16 images: four net differences of eight are 1.46 standard errors, none of four is no difference."""
    base = [1.0] * 12 + [0.0] * 4
    best = contestant("best", base, [0.5] * 16, 100)
    behind = contestant("behind", [0.0] * 6 + [1.0] * 8 + [0.0] * 2, [0.1] * 16, 1)
    assert decide([best, behind]) == Decision("best", "accuracy")
    level = contestant("level", [*base[2:], 1.0, 1.0], [0.3] * 16, 100)
    assert decide([best, behind, level]) == Decision("level", "loss")
    cheap = contestant("cheap", [*base[2:], 1.0, 1.0], [0.22, 0.39] * 8, 1)
    assert decide([best, behind, level, cheap]) == Decision("cheap", "params")
    assert decide([best]) == Decision("best", "alone")


def test_the_difference_is_paired():
    """Two networks that are right on the same images are told apart by two images, others are not."""
    shared = contestant("shared", [1.0] * 48 + [0.0] * 2 + [0.0] * 50, [0.2] * 100)
    best = contestant("best", [1.0] * 50 + [0.0] * 50, [0.4] * 100)
    elsewhere = contestant("elsewhere", [0.0] * 50 + [1.0] * 48 + [0.0] * 2, [0.2] * 100)
    assert decide([best, shared]).name == "best"
    assert decide([best, elsewhere]).name == "elsewhere"
    assert standard_error(best.hits, shared.hits) < 0.02 < standard_error(best.hits, elsewhere.hits)


def test_without_the_scores_of_any_the_higher_accuracy_decides_for_all():
    best = contestant("best", [1.0] * 50 + [0.0] * 50, [0.4] * 100)
    elsewhere = contestant("elsewhere", [0.0] * 50 + [1.0] * 48 + [0.0] * 2, [0.2] * 100)
    assert decide([best, elsewhere.without_images()]).name == "best"


def test_images_must_be_the_same_and_something_must_be_there():
    with pytest.raises(ValueError, match="nothing to choose from"):
        decide([])
    with pytest.raises(ValueError, match=r"different numbers of images: \[1, 2\]"):
        decide([contestant("a", [1.0], [0.1]), contestant("b", [1.0, 1.0], [0.1, 0.1])])


def test_a_contestant_of_several_seeds_has_their_means_and_calibrated_losses():
    labels = torch.tensor([0, 1, 1, 0] * 10)
    rng = np.random.default_rng(0)
    seeds = [ImageScores.of(torch.tensor(rng.normal(size=(40, 2))), labels) for _ in range(3)]
    accuracies = [float(s.hits.mean()) for s in seeds]
    found = Contestant.of("row", 7, accuracies, [float(s.losses.mean()) for s in seeds], seeds)
    assert found.accuracy == pytest.approx(np.mean(accuracies))
    assert found.loss == pytest.approx(np.mean([s.calibrated_losses.mean() for s in seeds]))
    plain = Contestant.of("row", 7, accuracies, [float(s.losses.mean()) for s in seeds])
    assert plain.hits is None
    assert plain.loss != found.loss


def test_contestants_are_ranked_by_one_choice_after_another():
    rivals = [Contestant(name, 10, accuracy, 0.5) for name, accuracy in (("a", 0.7), ("b", 0.9), ("c", 0.8))]
    assert ranked(rivals) == ["b", "c", "a"]
    assert ranked(rivals, 2) == ["b", "c"]
    assert ranked([]) == []


def rare(right: int, wrong: int) -> ImageScores:
    """40 images of a frequent class, ``wrong`` of them wrong; 5 of a rare one, ``right`` of them right."""
    labels = torch.tensor([0] * 40 + [1] * 5)
    logits = torch.tensor([[2.0, 0.0]]).repeat(45, 1)
    logits[:wrong] = torch.tensor([0.0, 2.0])
    logits[40 : 40 + right] = torch.tensor([0.0, 2.0])
    return ImageScores.of(logits, labels)


def test_the_metric_decides_in_place_of_accuracy():
    found = {"frequent": rare(0, 0), "rare": rare(5, 6)}
    assert found["frequent"].hits.mean() > found["rare"].hits.mean()
    chosen = {}
    for metric in METRICS:
        rivals = [Contestant.of(n, 10, [0.0], [0.0], [of], metric) for n, of in found.items()]
        chosen[metric] = decide(rivals).name
        recalls = [0.5, (34 / 40 + 1) / 2]
        if metric == "balanced-accuracy":
            assert [rival.accuracy for rival in rivals] == pytest.approx(recalls)
    assert chosen["accuracy"] == "frequent"
    assert chosen["balanced-accuracy"] == chosen["macro-f1"] == "rare"


def test_the_log_loss_is_the_calibrated_one_and_the_cheaper_of_equal_rows_wins():
    labels = torch.tensor([0, 1] * 50)
    noise = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    logits = 2 * torch.eye(2)[labels] + noise
    scores = {name: ImageScores.of(scale * logits, labels) for name, scale in (("a", 1.0), ("b", 12.0))}
    params = {"a": 20, "b": 10}
    rivals = [Contestant.of(n, params[n], [0.0], [0.0], [of], "log-loss") for n, of in scores.items()]
    assert [rival.accuracy for rival in rivals] == [-rival.loss for rival in rivals]
    assert scores["a"].losses.mean() < scores["b"].losses.mean()
    assert decide(rivals) == Decision("b", "params")  # calibration makes both equal


def test_another_metric_needs_the_scores_of_images():
    with pytest.raises(
        ValueError, match="the metric 'macro-f1' needs the scores of images, and 'row' has none"
    ):
        Contestant.of("row", 1, [0.5], [0.5], [], "macro-f1")


def shifted(name: str, loss: float, on_shifted: float | None, params: int = 10) -> Contestant:
    return Contestant(name, params, 0.9, loss, shifted_loss=on_shifted, margin=0.05)


def test_shifted_images_decide_within_the_margin_of_the_loss():
    field = [
        shifted("sure", 0.30, 2.0),
        shifted("robust", 0.34, 1.0),
        shifted("cheap", 0.35, 1.0, 5),
        shifted("far", 0.36, 0.1),
    ]
    assert decide(field) == Decision("cheap", "shifted")
    assert decide(field[:2]) == Decision("robust", "shifted")
    assert decide(field[:1]) == Decision("sure", "alone")
    assert ranked(field) == ["cheap", "robust", "sure", "far"]


def test_shifted_images_decide_among_those_that_are_not_significantly_less_accurate():
    def right(name: str, hits: list[int], on_shifted: float) -> Contestant:
        of_images = np.array(hits, float)
        accuracy = float(of_images.mean())
        return Contestant(name, 10, accuracy, 0.3, of_images, 0 * of_images, on_shifted, margin=0.05)

    best, worse = right("best", [1] * 90 + [0] * 10, 2.0), right("worse", [1] * 80 + [0] * 20, 1.0)
    swapped = right("swapped", [0] * 9 + [1] * 89 + [0] * 2, 1.5)  # one image fewer, and 17 others
    assert decide([best, worse]) == Decision("best", "shifted")
    assert decide([best, worse, swapped]) == Decision("swapped", "shifted")
    near = right("near", [1] * 87 + [0] * 13, 1.2)  # by 1.8 standard errors, and `worse` by 3.3
    assert decide([best, worse, swapped, near]) == Decision("near", "shifted")


def test_without_shifted_images_of_all_the_plain_rule_decides():
    """Such as beside the trainings of a run that was started before."""
    assert decide([shifted("sure", 0.30, None), shifted("robust", 0.34, 1.0)]) == Decision("sure", "loss")


def test_scores_of_shifted_images_make_a_contestant_of_that_rule():
    labels = torch.tensor([0, 1, 0, 1])
    logits = torch.tensor([[2.0, 0], [0, 2.0], [2.0, 0], [0, 2.0]])
    scores = ImageScores.of(logits, labels, ShiftedScores(logits.repeat(2, 1), labels.repeat(2), 0.1))
    found = Contestant.of("a", 3, [1.0], [0.1], [scores])
    assert (found.shifted_loss, found.margin) == (scores.shifted_loss, 0.1)
    assert found.without_images().shifted_loss == found.shifted_loss
    plain = ImageScores.of(logits, labels)
    assert Contestant.of("a", 3, [1.0, 1.0], [0.1, 0.1], [scores, plain]).shifted_loss is None
