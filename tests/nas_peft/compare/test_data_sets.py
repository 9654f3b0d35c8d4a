"""Which runs are on one data set, by the records of their images."""

from typing import Any

import pytest

from nas_peft.compare.data_sets import by_data, differing_images, other_data, remarks
from nas_peft.compare.runs import ComparedInputs, ComparedRun
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

GIVEN = {"train": "given", "val": "given", "test": "given"}
OF_SEED = {"train": "rest", "val": "given", "test": "drawn, seed {}"}


def run_of(
    digest: str | None,
    *,
    dataset: str = "photos",
    started_in: str | None = "/home/a",
    seed: int = 0,
    splits: dict[str, str] = GIVEN,
    images: int = 400,
    classes: tuple[str, ...] = ("cat", "dog"),
    **config: Any,
) -> ComparedRun:
    return ComparedRun.model_validate(
        {
            "run": f"runs/{digest}-{seed}",
            "protocol": "validation",
            "config": SearchConfig.of(dataset=dataset, seed=seed, **config).to_dict(),
            "dataset": {
                "classes": len(classes),
                "counts": {"train": 800, "val": 200, "test": images},
                "splits": {part: way.format(seed) for part, way in splits.items()},
            },
            "backbone": {"name": "vit", "digest": "0" * 64},
            "rows": [],
            "inputs": ComparedInputs(fingerprint=digest, classes=classes, started_in=started_in).model_dump(),
        }
    )


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [
        (run_of("1"), run_of("1", started_in="/home/b"), False),  # moved
        (run_of("1"), run_of("2"), True),
        (run_of("1"), run_of("1", classes=("ant", "bee")), True),
        (run_of("1"), run_of("2", seed=1), True),  # these parts do not depend on the seed
        (run_of("1", splits=OF_SEED), run_of("2", splits=OF_SEED, seed=1), False),
        (run_of("1", splits=OF_SEED), run_of("2", splits=OF_SEED, seed=1, images=500), True),
        (run_of("1", splits=OF_SEED), run_of("2", splits=OF_SEED, seed=1, started_in="/home/b"), None),
        (run_of("1"), run_of("2", shots=4), False),  # of one folder, read in two ways
        (run_of("1"), run_of("2", shots=4, started_in="/home/b"), None),
        (run_of(None), run_of(None), False),
        (run_of(None), run_of(None, started_in="/home/b"), None),
        (run_of("1", dataset="digits"), run_of("2", dataset="digits", shots=4, started_in="/b"), False),
    ],
)
def test_what_the_records_tell(first: ComparedRun, second: ComparedRun, other: bool | None):
    assert other_data(first, second) is other
    assert other_data(second, first) is other


def test_folders_of_one_name_with_other_images_are_two_data_sets():
    first, second = run_of("1"), run_of("2", started_in="/home/b")
    assert by_data([first, second]) == {"/home/a/photos": [first], "/home/b/photos": [second]}
    named = run_of("2", dataset="other/photos")
    assert list(by_data([first, named])) == ["photos", "other/photos"]


def test_seeds_of_one_data_set_in_two_places_are_pooled_and_said():
    first = run_of("1", splits=OF_SEED)
    second = run_of("2", splits=OF_SEED, seed=1, started_in="/home/b")
    assert by_data([first, second]) == {"photos": [first, second]}
    said = remarks({"photos": [first, second]})["photos"]
    assert "'/home/a/photos' for the run 'runs/1-0' and at '/home/b/photos'" in said[0]
    assert "do not tell whether these are the same images" in said[0]
    again = run_of("3", shots=4, started_in="/home/b")  # of one seed: not the same repetition
    assert len(by_data([run_of("1"), again])) == 2


def test_a_folder_that_has_changed_is_refused():
    with pytest.raises(InputError, match="the data set 'photos' has changed between the runs 'runs/1-0' and"):
        by_data([run_of("1"), run_of("2", seed=1)])


def test_images_that_differ_are_named():
    first, second = run_of("1", splits=OF_SEED), run_of("2", splits=OF_SEED, seed=1)
    (said,) = differing_images([first, second])
    assert said.startswith("the test images differ between the runs ('drawn, seed 0' and 'drawn, seed 1')")
    assert differing_images([first, first]) == []
