"""How sure a choice is: probabilities, ties and regret on resampled images and seeds, and the sentences."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas_peft.protocol.compared_trainings import Choice
from nas_peft.protocol.confidence import (
    decision_result,
    probability_of_more,
    resampled_scores,
    verdict,
)
from nas_peft.protocol.decision import FRACTION, ROBUST_FRACTION, Decision
from nas_peft.protocol.decision_words import decision_sentences
from nas_peft.protocol.rows import Row, Scores, best_of, choose
from nas_peft.run.results import DecisionResult
from nas_peft.settings.metric import LABELS as LABELS_OF_METRICS
from nas_peft.settings.metric import METRICS, Metric
from nas_peft.training.image_scores import ImageScores, ShiftedScores
from search_spaces import Architecture

SEARCHED = Row("candidate-3", "searched", "subnet", Architecture.uniform(4, "adapter_dim", 1))
SINGLE = Row("lora_rank-2", "single", "subnet", Architecture.uniform(4, "lora_rank", 2))
FULL = Row("full", "baseline", "full", Architecture.empty(4))
LABELS = {row.name: row.label for row in (SEARCHED, SINGLE, FULL)}


def params(row: Row) -> int:
    return {"candidate-3": 5, "lora_rank-2": 10, "full": 1000}[row.name]


def scores(wrong: int, images: int = 100, first: int = 0, seeds: int = 1) -> Scores:
    """``wrong`` images from ``first`` on are wrong; each further seed has ten more that are."""
    found = Scores()
    for seed in range(seeds):
        logits = torch.tensor([[2.0, 0.0]]).repeat(images, 1)
        logits[first : first + wrong + 10 * seed] = torch.tensor([0.0, 2.0])
        of = ImageScores.of(logits, torch.zeros(images, dtype=torch.int64))
        found.images.append(of)
        found.val_accuracy.append(float(of.hits.mean()))
        found.val_loss.append(float(of.losses.mean()))
    return found


def decided(given: dict[Row, Scores], allow_full: bool = False) -> DecisionResult:
    chosen = choose(given, params, allow_full)
    assert chosen is not None
    best = [best_of(group, given, params) for group in ("searched", "single")]
    return decision_result(Choice(chosen[0], best[0], best[1], chosen[1]), given, params, 0, allow_full)


def test_full_fine_tuning_that_is_exported():
    found = decided({SEARCHED: scores(30), SINGLE: scores(20), FULL: scores(5)}, allow_full=True)
    assert (found.by, found.among, found.expected_regret) == ("accuracy", 3, 0.0)
    assert found.roles == {
        "single": "lora_rank-2",
        "searched": "candidate-3",
        "runner_up": "lora_rank-2",
    }
    lines = decision_sentences(found, LABELS, "full")
    assert lines[-1] == "full fine-tuning is exported, as allowed: the file holds the whole backbone"


def test_a_clear_choice():
    found = decided({SEARCHED: scores(5), SINGLE: scores(30), FULL: scores(40)})
    rivals = {rival.row: rival for rival in found.rivals}
    assert (found.by, found.among, found.images, found.expected_regret) == ("accuracy", 2, 100, 0.0)
    assert found.roles == {"full": "full", "single": "lora_rank-2", "runner_up": "lora_rank-2"}
    assert rivals["full"].difference == pytest.approx(0.35)
    assert rivals["full"].better > 0.999
    assert rivals["full"].loss_difference < 0
    low, high = rivals["full"].interval
    assert 0.2 < low < 0.35 < high < 0.5
    assert {rival.verdict for rival in found.rivals} == {"better"}


def test_the_calibrated_loss_of_every_row_can_be_told():
    of = {SEARCHED: scores(10), SINGLE: scores(45)}
    found = decided(of)
    (rival,) = found.rivals
    assert found.loss is not None
    assert found.loss == pytest.approx(of[SEARCHED].contestant("", 0).loss)
    assert found.loss - rival.loss_difference == pytest.approx(of[SINGLE].contestant("", 0).loss)


def test_a_tie_is_called_one_and_has_a_regret():
    found = decided({SEARCHED: scores(10), SINGLE: scores(11, first=50)})
    (rival,) = found.rivals
    assert (found.by, rival.verdict) == ("params", "tie")
    assert 0.5 < rival.better < 0.7
    assert 0.005 < found.expected_regret < 0.02


def test_rows_that_are_right_on_the_same_images_are_level():
    (rival,) = decided({SEARCHED: scores(10), SINGLE: scores(10)}).rivals
    assert (rival.better, rival.interval, rival.verdict) == (0.5, (0.0, 0.0), "tie")


def test_full_fine_tuning_that_is_better_is_said_to_be_and_by_how_much():
    found = decided({SEARCHED: scores(30), SINGLE: scores(45), FULL: scores(5)})
    (full,) = (rival for rival in found.rivals if rival.row == "full")
    assert full.verdict == "worse"
    lines = decision_sentences(found, LABELS, "candidate-3")
    assert lines[-1] == ("full fine-tuning is better on validation data by 25.0 points, more than the noise")
    assert lines[0].startswith(
        "exported: searched subnet (candidate-3), one of 2 rows that may be: its accuracy"
    )
    assert "-25.0 points against full fine-tuning (90% -3" in lines[1]
    assert "better with probability 0.00)" in lines[1]


def test_a_search_that_was_not_worth_it_is_said_to_be():
    found = decided({SEARCHED: scores(40), SINGLE: scores(10)})
    assert found.roles == {"searched": "candidate-3", "runner_up": "candidate-3"}
    text = decision_sentences(found, LABELS, "lora_rank-2")
    assert text[-1].startswith("searching was not worth it here: the single method is better")
    assert text[1].count("points against") == 1  # the best searched subnet is the runner-up too
    level = decided({SEARCHED: scores(10), SINGLE: scores(11, first=50)})
    assert decision_sentences(level, LABELS, "candidate-3")[-1] == (
        "searching gained nothing certain over LoRA alone: a tie on validation data"
    )


def test_an_average_of_the_searched_subnet_is_the_search_s_own():
    soup = replace(SEARCHED, name="candidate-3-greedy-soup")
    given = {SEARCHED: scores(30), soup: scores(5), SINGLE: scores(40)}
    found = decision_result(
        Choice(soup, SEARCHED, SINGLE, Decision(soup.name, "accuracy")),
        given,
        lambda row: params(SINGLE if row is SINGLE else SEARCHED),
        0,
    )
    assert found.roles == {"single": "lora_rank-2", "runner_up": "candidate-3"}
    text = " ".join(decision_sentences(found, LABELS | {soup.name: soup.label}, soup.name))
    assert "not worth it" not in text


def test_seeds_widen_the_interval():
    """Seeds of 10, 20 and 30 wrong images against one of 20."""
    images = {"one": scores(20).images, "several": scores(10, seeds=3).images}
    found = resampled_scores(images, 0)
    assert found["several"].mean() == pytest.approx(found["one"].mean(), abs=0.005)
    assert found["several"].std() > 1.3 * found["one"].std()


def test_resamples_are_the_same_every_time_and_share_their_images():
    images = {"a": scores(20).images, "b": scores(20).images}
    first, again = resampled_scores(images, 0), resampled_scores(images, 0)
    assert (first["a"] == again["a"]).all()
    assert (first["a"] == first["b"]).all()
    assert (first["a"] != resampled_scores(images, 1)["a"]).any()


def test_verdicts():
    assert [verdict(p) for p in (0.05, 0.1, 0.5, 0.9, 0.91)] == ["worse", "tie", "tie", "tie", "better"]
    assert probability_of_more(np.array([0.1, 0.0, -0.1, 0.1])) == 0.625


def test_every_metric_has_its_certainty_its_rule_and_its_words():
    labels = torch.tensor([0] * 80 + [1] * 20)
    rng = torch.Generator().manual_seed(0)
    for metric in METRICS:
        given = {}
        for row, skill in ((SEARCHED, 3.0), (SINGLE, 1.0), (FULL, 0.5)):
            logits = skill * torch.eye(2)[labels] + torch.randn(100, 2, generator=rng)
            of = ImageScores.of(logits, labels)
            given[row] = Scores([float(of.hits.mean())], [float(of.losses.mean())], [of], metric)
        found = decided(given)
        assert (found.metric, found.by) == (metric, "accuracy")
        assert ("accuracy" in found.rule) == ("accuracy" in metric)
        for rival in found.rivals:
            low, high = rival.interval
            assert 0 < low < rival.difference < high
            assert rival.verdict == "better"
        text = " ".join(decision_sentences(found, LABELS, "candidate-3"))
        name = metric.replace("-", " ").replace("macro f1", "macro F1")
        assert f"on 100 validation images its {name} is {'-0.' if metric == 'log-loss' else '+'}" in text
        assert ("points" in text) == (metric != "log-loss")
        best = f"its {name} on validation data is the highest, by"
        assert (
            best if metric != "log-loss" else "its calibrated loss on validation data is the lowest, by"
        ) in text


def test_the_certainty_of_a_choice_for_shifted_images_is_said_to_be_of_unchanged_ones():
    """The row with the lower loss on shifted images is chosen although another is more accurate."""
    given = {}
    for row, wrong, shift in ((SEARCHED, 12, 3.0), (SINGLE, 10, 0.5)):
        logits = torch.tensor([[2.0, 0.0]]).repeat(100, 1)
        logits[:wrong] = torch.tensor([0.0, 2.0])
        labels = torch.zeros(100, dtype=torch.int64)
        of = ImageScores.of(
            logits, labels, ShiftedScores(shift * logits[wrong:], labels[wrong:].clone(), 9.0)
        )
        given[row] = Scores([float(of.hits.mean())], [float(of.losses.mean())], [of])
    found = decided(given)
    assert (found.by, found.robust, found.fraction) == ("shifted", True, ROBUST_FRACTION)
    assert "within 2 standard errors of the highest accuracy" in found.rule
    (rival,) = found.rivals
    assert rival.difference == pytest.approx(-0.02)
    text = " ".join(decision_sentences(found, LABELS, "candidate-3"))
    assert "of those not significantly behind in accuracy and within the margin in loss" in text
    assert "on 100 unchanged validation images its accuracy is -2.0 points" in text
    assert "none of this is about shifted images" in text
    recorded = found.model_dump(exclude={"robust"})  # as runs of earlier versions have it
    assert DecisionResult(**recorded).robust
    plain = decided({SEARCHED: scores(10), SINGLE: scores(11)})
    assert (plain.robust, plain.fraction) == (False, FRACTION)
    assert "unchanged" not in " ".join(decision_sentences(plain, LABELS, "candidate-3"))


@pytest.mark.parametrize("metric", METRICS)
def test_the_rule_for_shifted_images_names_the_metric(metric: Metric):
    given = {}
    for row in (SEARCHED, SINGLE):
        logits, labels = torch.randn(100, 2), torch.arange(100) % 2
        of = ImageScores.of(logits, labels, ShiftedScores(logits.clone(), labels.clone(), 0.1))
        given[row] = Scores([float(of.hits.mean())], [float(of.losses.mean())], [of], metric)
    best = {"log-loss": "lowest log loss"}.get(metric, f"highest {LABELS_OF_METRICS[metric]}")
    assert f"within 2 standard errors of the {best}, the one" in decided(given).rule


def test_resamples_of_a_metric_are_the_metric_of_resampled_images():
    found = resampled_scores({"row": scores(20).images}, 0, "balanced-accuracy")["row"]
    of_accuracy = resampled_scores({"row": scores(20).images}, 0)["row"]
    assert found == pytest.approx(of_accuracy)  # one class alone
