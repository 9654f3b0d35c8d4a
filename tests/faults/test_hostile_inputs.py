"""A seeded sample of the hostile inputs that `benchmarks.faults.hostile_inputs` draws by the hundred."""

from pathlib import Path

import pytest
from sweep import sweep
from typer.testing import CliRunner

from benchmarks.faults.hostile.attempt import Hostile, attempt
from benchmarks.faults.hostile.ground import Ground, search_words
from benchmarks.faults.hostile_inputs import KINDS, PASSES, table, tries
from nas_peft.cli.app import app
from search_spaces.streams import stream

SEED = 7
SAMPLE = 40


@pytest.mark.parametrize("kind", sweep(KINDS, 2))
def test_hostile_inputs_are_refused_in_one_line_or_answered(ground: Ground, kind: str):
    names = list(KINDS)
    numbers = range(names.index(kind) + len(names), SAMPLE + len(names), len(names))
    found = list(tries(ground, numbers, SEED, own_process=False))
    assert len(found) == SAMPLE / len(names)
    assert [tried for tried in found if tried.verdict not in PASSES] == []
    assert table(found).row_count == 1


def test_what_is_drawn_depends_on_seed_and_number_alone(ground: Ground):
    hostile = KINDS["spaces"]
    first, again, other = (hostile(stream(seed, "hostile input", 3), ground).about for seed in (0, 0, 1))
    assert first == again != other


def test_what_must_not_pass_is_noticed(ground: Ground):
    def verdict(hostile: Hostile) -> str:
        return attempt("made up", hostile, ground.here).verdict

    refused = ["front", "/nowhere"]
    assert verdict(Hostile("", refused)) == "refused in one line"
    assert verdict(Hostile("", ["spaces"], must_fail=True)) == "wrong answer"
    (ground.here / "executed").touch()
    assert verdict(Hostile("", refused, forbidden=(ground.here / "executed",))) == "wrong answer"
    assert verdict(Hostile("", ["evaluate", "--help"], must_fail=True)) == "wrong answer"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--supernet-lr", "inf"], "supernet_lr is inf: input should be a finite number"),
        (["--weight-decay", "nan"], "weight_decay is 'nan': "),
        (["--study", "x"], "study names a study in --storage"),
        (["--storage", "sqlite:////nowhere/x.db"], "no folder '/nowhere' for the storage"),
        (["--front-budget", "-1%"], "the budget is '-1%'"),
        (["--no-such-option"], "there is no option --no-such-option"),
        (["--generations", "many"], "Invalid value for '--generations'"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_written(ground: Ground, words: list[str], said: str):
    done = CliRunner().invoke(app, [*search_words(ground.images, ground.here / "run"), *words])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert list(Path.cwd().iterdir()) == []
