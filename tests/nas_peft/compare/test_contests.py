"""Comparing runs over data sets: pooling, refusals, means, and who won."""

import math
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.compare.contests import CHOSEN, SEARCHED, Contest, compare_runs, contest, differing_settings
from nas_peft.compare.dataset_groups import VTAB_GROUPS
from nas_peft.compare.runs import ComparedInputs, ComparedPlan, ComparedRun, setting_text
from nas_peft.compare.table import score_tables
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

repeatable = settings(derandomize=True, deadline=None, database=None)
Tests: TypeAlias = dict[tuple[int, int], float]
NO_GROUPS: dict[str, list[str]] = {}


def run_of(
    dataset: str,
    tests: dict[str, list[float | None]],
    *,
    seed: int = 0,
    selected: str = SEARCHED,
    path: str | None = None,
    digest: str = "0" * 64,
    protocol: str = "every choice on validation data",
    images: int = 400,
    **config: Any,
) -> ComparedRun:
    """A run with the test accuracies of each method, by seed; one of them is what validation selected."""
    rows = [
        {
            "name": f"{label}-{seed}",  # a method's name may depend on the run, as a size in a budget does
            "label": label,
            "selected": label == selected,
            "seeds": [{"seed": seed + i, "test_accuracy": a} for i, a in enumerate(accuracies)],
        }
        for label, accuracies in tests.items()
    ]
    return ComparedRun.model_validate(
        {
            "run": path or f"runs/{dataset}-{seed}",
            "protocol": protocol,
            "config": SearchConfig.of(dataset=dataset, seed=seed, **config).to_dict(),
            "dataset": {"classes": 10, "counts": {"train": 800, "val": 200, "test": images}},
            "backbone": {"name": "vit", "digest": digest},
            "rows": rows,
        }
    )


def row_of(comparison, label):
    (row,) = (row for row in comparison.rows if row.label == label)
    return row


def test_a_cell_is_the_mean_over_seeds():
    run = run_of("data/dtd/", {SEARCHED: [0.5, 0.75], "LoRA alone": [0.25, 0.5]})
    (comparison,) = compare_runs([run], NO_GROUPS)
    assert [row.label for row in comparison.rows] == [CHOSEN, SEARCHED, "LoRA alone"]
    cell = row_of(comparison, SEARCHED).cells["dtd"]
    assert cell.scores == (0.5, 0.75)
    assert cell.mean == 0.625
    assert cell.std == pytest.approx(math.sqrt(2) / 8)
    assert cell.best
    assert not row_of(comparison, "LoRA alone").cells["dtd"].best
    assert comparison.columns[0].seeds == 2


def test_runs_of_other_seeds_are_pooled_by_label_and_one_seed_has_no_spread():
    runs = [
        run_of("dtd", {SEARCHED: [0.5], "LoRA alone": [0.6]}, seed=0),
        run_of("dtd", {SEARCHED: [0.7], "LoRA alone": [0.6]}, seed=1, selected="LoRA alone"),
        run_of("svhn", {SEARCHED: [0.9], "LoRA alone": [0.9]}),
    ]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    assert {column.dataset: (column.seeds, column.runs) for column in comparison.columns} == {
        "dtd": (2, ("runs/dtd-0", "runs/dtd-1")),
        "svhn": (1, ("runs/svhn-0",)),
    }
    assert row_of(comparison, SEARCHED).cells["dtd"].scores == (0.5, 0.7)
    assert row_of(comparison, CHOSEN).cells["dtd"].scores == (0.5, 0.6)
    assert row_of(comparison, SEARCHED).cells["svhn"].std is None
    assert row_of(comparison, SEARCHED).cells["svhn"].best
    assert row_of(comparison, "LoRA alone").cells["svhn"].best  # equal ones all are
    assert row_of(comparison, SEARCHED).mean == pytest.approx((0.6 + 0.9) / 2)


def test_seeds_within_a_run_and_seeds_of_runs_are_different_repetitions():
    runs = [run_of("dtd", {SEARCHED: [0.5, 0.6]}, seed=s, seeds=2) for s in (0, 1)]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    assert row_of(comparison, SEARCHED).cells["dtd"].scores == (0.5, 0.6, 0.5, 0.6)


def test_plans_of_two_times_that_set_the_same_options_are_comparable():
    first, same, other = (
        run_of(name, {SEARCHED: [0.5]}, seed=seed, epochs=epochs).model_copy(
            update={"plan": ComparedPlan(time=time, set_options={"epochs": [epochs]})}
        )
        for name, seed, epochs, time in (("dtd", 0, 4, "2m"), ("dtd", 1, 4, "5m"), ("svhn", 0, 8, "5m"))
    )
    (comparison,) = compare_runs([first, same], NO_GROUPS)
    assert comparison.columns[0].seeds == 2
    with pytest.raises(InputError, match=r"they differ in .*time \(2m and 5m\)"):
        compare_runs([first, other], NO_GROUPS)
    with pytest.raises(InputError, match="seed 0"):
        compare_runs([first, first], NO_GROUPS)


def test_untested_rows_and_failed_seeds_are_left_out():
    runs = [
        run_of("dtd", {SEARCHED: [0.5, None], "loser": [None, None], "full fine-tuning": [0.6, 0.7]}),
        run_of("svhn", {SEARCHED: [0.8, 0.8]}),
    ]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    assert "loser" not in [row.label for row in comparison.rows]
    assert row_of(comparison, SEARCHED).cells["dtd"].scores == (0.5,)
    full = row_of(comparison, "full fine-tuning")
    assert "svhn" not in full.cells
    assert full.mean is None
    assert full.against[SEARCHED] == Contest(wins=0, ties=0, losses=1)


def test_a_method_that_halving_eliminated_in_some_runs_is_no_best_and_has_no_mean():
    """It may have been left in the runs that suited it."""
    kept, both = {SEARCHED: [0.5], "LoRA alone": [0.9]}, {SEARCHED: [0.6]}
    runs = [run_of("dtd", kept), run_of("dtd", both, seed=1), run_of("svhn", kept)]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    lora, searched = row_of(comparison, "LoRA alone"), row_of(comparison, SEARCHED)
    assert (lora.cells["dtd"].partial, lora.cells["dtd"].best, lora.mean) == (True, False, None)
    assert lora.cells["dtd"].repetitions == ((0, 0),)
    assert (lora.cells["svhn"].partial, lora.cells["svhn"].best) == (False, True)
    assert searched.cells["dtd"].repetitions == ((0, 0), (1, 1))
    assert searched.cells["dtd"].best
    assert searched.mean == pytest.approx((0.55 + 0.5) / 2)
    assert comparison.to_dict()["rows"][-1]["cells"]["dtd"]["repetitions"] == ((0, 0),)
    first, *others = score_tables(comparison, 160)
    assert others == []
    assert "90.0 (1) " in [str(cell) for column in first.columns for cell in column.cells]
    assert "(n): of the n seeds in which the method was tested" in str(first.caption)
    (whole,) = compare_runs(runs[2:], NO_GROUPS)
    assert "(n)" not in str(score_tables(whole, 160)[0].caption)


def test_what_a_plan_has_set_is_called_so():
    planned = run_of("a", {SEARCHED: [0.5]}, epochs=4).model_copy(
        update={"plan": ComparedPlan(time="5m", set_options={"epochs": [4]})}
    )
    given = run_of("b", {SEARCHED: [0.5]}, epochs=30)
    with pytest.raises(InputError, match=r"epochs \(set by the plan and 30\), time \(5m and not given\)"):
        compare_runs([planned, given], NO_GROUPS)
    apart = compare_runs([planned, given], NO_GROUPS, apart=True)
    assert [setting_text(c.settings, "epochs") for c in apart] == ["set by the plan", "30"]


def test_other_images_of_one_seed_are_no_repetition():
    runs = [
        run_of("photos", {SEARCHED: [score]}, path=place).model_copy(
            update={"inputs": ComparedInputs(fingerprint=place, started_in=place)}
        )
        for place, score in (("/a", 0.5), ("/b", 0.9))
    ]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    assert [column.dataset for column in comparison.columns] == ["/a/photos", "/b/photos"]
    assert row_of(comparison, SEARCHED).cells["/a/photos"].scores == (0.5,)
    longer = runs[1].model_copy(update={"config": runs[1].config | {"epochs": [30]}})
    with pytest.raises(InputError, match="their data sets '/a/photos' and '/b/photos' have other images"):
        compare_runs([runs[0], longer], NO_GROUPS)


@pytest.mark.parametrize(
    ("reference", "other", "outcome"),
    [
        ([0.60], [0.55], 0),  # 2 · √(.6·.4/400 + .55·.45/400) is 0.07
        ([0.60], [0.50], 1),
        ([0.50], [0.60], -1),
        ([0.60, 0.70], [0.55, 0.65], 1),  # the same difference twice
        ([0.60, 0.70], [0.55, 0.70], 0),  # 0.025 ± 0.025
        ([0.60, 0.60], [0.70, 0.62], -1),  # -0.06 ± 0.04
        ([0.60, 0.60], [0.60, 0.60], 0),
    ],
)
def test_who_won(reference: list[float], other: list[float], outcome: int):
    first, second = ({(0, i): a for i, a in enumerate(of)} for of in (reference, other))
    assert contest(first, second, 400) == outcome


repetitions = st.tuples(st.just(0), st.integers(0, 4))
accuracies = st.dictionaries(repetitions, st.integers(0, 50).map(lambda k: k / 50))


@repeatable
@given(accuracies, accuracies)
def test_one_wins_what_the_other_loses(first: Tests, second: Tests):
    forth, back = contest(first, second, 50), contest(second, first, 50)
    if first.keys() & second.keys():
        assert forth is not None
        assert back == -forth
    else:
        assert forth is None
        assert back is None


@repeatable
@given(accuracies.filter(bool))
def test_a_method_ties_with_itself(of: Tests):
    assert contest(of, of, 50) == 0


def test_wins_ties_and_losses_are_counted_over_data_sets():
    runs = [
        run_of("a", {SEARCHED: [0.9], "LoRA alone": [0.5]}),
        run_of("b", {SEARCHED: [0.5], "LoRA alone": [0.9]}, selected="LoRA alone"),
        run_of("c", {SEARCHED: [0.5], "LoRA alone": [0.5]}),
    ]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    lora = row_of(comparison, "LoRA alone")
    assert lora.against == {SEARCHED: Contest(1, 1, 1), CHOSEN: Contest(1, 2, 0)}
    assert row_of(comparison, SEARCHED).against == {CHOSEN: Contest(1, 2, 0)}
    assert row_of(comparison, CHOSEN).against == {}


def test_the_groups_of_vtab_are_known_and_their_means_weigh_the_same():
    accuracy = {"natural": 0.75, "specialized": 0.5, "structured": 0.25}
    runs = [
        run_of(f"vtab/{name}", {SEARCHED: [accuracy[group]]})
        for group in ("structured", "natural", "specialized")
        for name in VTAB_GROUPS[group]
    ]
    assert len(runs) == 19
    (comparison,) = compare_runs(runs, NO_GROUPS)
    row = row_of(comparison, SEARCHED)
    assert row.group_means == accuracy
    assert row.group_mean == 0.5
    assert row.mean == pytest.approx((7 * 0.75 + 4 * 0.5 + 8 * 0.25) / 19)
    order = list(dict.fromkeys(column.group for column in comparison.columns))
    assert order == ["natural", "specialized", "structured"]


def test_groups_of_ones_own_and_none():
    runs = [run_of(name, {SEARCHED: [a]}) for name, a in (("x", 0.2), ("y", 0.4), ("z", 0.9))]
    (comparison,) = compare_runs(runs, {"one": ["x", "y"], "two": ["z"]})
    assert row_of(comparison, SEARCHED).group_mean == pytest.approx((0.3 + 0.9) / 2)
    (ungrouped,) = compare_runs(runs, NO_GROUPS)
    assert row_of(ungrouped, SEARCHED).group_mean is None
    assert row_of(ungrouped, SEARCHED).group_means == {}
    with pytest.raises(InputError, match="'z' is in none of the groups one, two"):
        compare_runs(runs, {"one": ["x", "y"], "two": ["w"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "2%"}, r"budget \(0.75% and 2%\)"),
        ({"epochs": 100}, r"epochs \(8 and 100\)"),
        ({"digest": "1" * 64}, r"backbone \(vit \(000000000000\) and vit \(111111111111\)\)"),
        ({"protocol": "inherited weights"}, "differ in protocol"),
    ],
)
def test_other_configurations_are_refused_or_told_apart(changes: dict[str, Any], message: str):
    runs = [run_of("a", {SEARCHED: [0.5]}), run_of("b", {SEARCHED: [0.6]}, **changes)]
    with pytest.raises(InputError, match=rf"'runs/a-0' and 'runs/b-0' are not .*{message}.*--apart"):
        compare_runs(runs, NO_GROUPS)
    apart = compare_runs(runs, NO_GROUPS, apart=True)
    assert [[column.dataset for column in c.columns] for c in apart] == [["a"], ["b"]]
    (name,) = differing_settings(apart)
    assert name in (*changes, "backbone")


def test_how_a_computation_is_carried_out_and_beside_what_does_not_matter():
    other = run_of("b", {SEARCHED: [0.6]}, micro_batches=2, seeds=3, baselines="all")
    runs = [run_of("a", {SEARCHED: [0.5]}), other]
    assert len(compare_runs(runs, NO_GROUPS)) == 1


def test_an_option_that_an_older_version_did_not_have_counts_as_its_default():
    old, new = (run_of(name, {SEARCHED: [0.5]}) for name in ("a", "b"))
    del old.config["head_epochs"]
    assert len(compare_runs([old, new], NO_GROUPS)) == 1
    with pytest.raises(InputError, match="differ in head_epochs"):
        compare_runs([old, run_of("c", {SEARCHED: [0.5]}, head_epochs=3)], NO_GROUPS)


def test_a_comparison_without_a_search_has_no_options_of_one():
    run = run_of("a", {"LoRA alone": [0.5]}, selected="LoRA alone")
    config = BaselinesConfig.of(dataset="a").to_dict()
    (comparison,) = compare_runs([run.model_copy(update={"config": config})], NO_GROUPS)
    assert "searcher" not in comparison.settings
    assert comparison.settings["lr_grid"] == [1.0]
    with pytest.raises(InputError, match=r"not comparable: they differ in .*searcher"):
        compare_runs([run, run.model_copy(update={"config": config | {"dataset": "b"}})], NO_GROUPS)


def test_the_same_repetition_does_not_count_twice():
    runs = [run_of("dtd", {SEARCHED: [0.5]}, path=path) for path in ("runs/a", "runs/b")]
    with pytest.raises(InputError, match="and 'runs/b' are both on the data set 'dtd' with seed 0"):
        compare_runs(runs, NO_GROUPS)


def test_data_sets_of_one_name_are_told_apart_by_the_rest_of_it():
    runs = [run_of("x/images", {SEARCHED: [0.5]}), run_of("y/images", {SEARCHED: [0.6]}, images=99)]
    (comparison,) = compare_runs(runs, NO_GROUPS)
    assert [column.dataset for column in comparison.columns] == ["x/images", "y/images"]
    changed = [run_of("x/images", {SEARCHED: [0.5]}), run_of("x/images", {SEARCHED: [0.6]}, seed=1, images=9)]
    with pytest.raises(InputError, match="the data set 'x/images' has changed between the runs"):
        compare_runs(changed, NO_GROUPS)


def test_rows_of_one_label_within_a_run_keep_their_names():
    run = run_of("a", {SEARCHED: [0.5]})
    twin = run.rows[0].model_copy(update={"name": "candidate-9", "selected": False})
    (comparison,) = compare_runs([run.model_copy(update={"rows": [*run.rows, twin]})], NO_GROUPS)
    labels = [row.label for row in comparison.rows]
    assert labels == [CHOSEN, f"{SEARCHED} ({SEARCHED}-0)", f"{SEARCHED} (candidate-9)"]


def test_nothing_to_compare():
    with pytest.raises(InputError, match="nothing to compare"):
        compare_runs([], NO_GROUPS)
