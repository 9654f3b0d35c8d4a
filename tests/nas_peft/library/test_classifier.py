"""The classifier in the style of scikit-learn, on images as they come."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from nas_peft import PeftSearchClassifier
from nas_peft.run.results import SearchResult
from search_spaces import InputError

LABELS = {"across": "10", "down": "9", "slanting": " x"}
"""Labels in another order as texts than as numbers, one with a space that a table would lose."""
SHORT = {
    "no_retrain": True,  # without separate trainings nothing is done on Ray
    "epochs": 1,
    "supernet_epochs": 1,
    "head_epochs": 1,
    "linear_epochs": 1,
    "batch_size": 16,
    "generations": 1,
    "population": 4,
    "parents": 2,
}

CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)
"""The checks of scikit-learn that need no data.

All others fit tables of numbers of shape (N, features), which are no images and are refused. What they say of
any classifier is tested below with images: sorted classes, labels of several types, probabilities, equal
results for equal seeds, and a `fit` that changes neither parameters nor data.
"""


@pytest.fixture(scope="module")
def images(image_folder: Path) -> tuple[list[Path], list[str]]:
    paths = sorted(image_folder.rglob("*.png"))
    return paths, [LABELS[path.parent.name] for path in paths]


@pytest.fixture(scope="module")
def unfitted() -> PeftSearchClassifier:
    return PeftSearchClassifier(time=None, device="cpu", options=SHORT)


@pytest.fixture(scope="module")
def fitted(unfitted: PeftSearchClassifier, images: tuple[list[Path], list[str]]) -> PeftSearchClassifier:
    """Fitted on an array of pixels."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in images[0]])
    before = pixels.copy()
    estimator = clone(unfitted)
    assert estimator.fit(pixels, images[1]) is estimator
    assert np.array_equal(before, pixels)
    return estimator


@pytest.mark.parametrize("check", CHECKS)
def test_checks_of_scikit_learn(check: str, unfitted: PeftSearchClassifier):
    function = getattr(estimator_checks, check)
    given = unfitted if check != "check_parameters_default_constructible" else PeftSearchClassifier()
    function(PeftSearchClassifier.__name__, given)


@pytest.mark.slow
def test_parameters_stay_and_the_classes_are_sorted(
    fitted: PeftSearchClassifier, unfitted: PeftSearchClassifier
):
    assert fitted.get_params() == unfitted.get_params()
    assert fitted.classes_.tolist() == [" x", "10", "9"]
    assert fitted.subnet_.classes == tuple(f"class-{place:06d}" for place in range(3))
    assert fitted.result_ is not None
    assert (
        fitted.result_.selected.test_accuracy if hasattr(fitted.result_.selected, "test_accuracy") else True
    )
    assert not Path(fitted.result_.run).exists()


@pytest.mark.slow
def test_predictions_are_labels_and_probabilities_have_their_order(
    fitted: PeftSearchClassifier, images: tuple[list[Path], list[str]]
):
    paths, labels = images
    probabilities = fitted.predict_proba(paths)
    assert probabilities.shape == (72, 3)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    predicted = fitted.predict(paths)
    assert predicted.tolist() == fitted.classes_[probabilities.argmax(1)].tolist()
    assert fitted.score(paths, labels) == np.mean(predicted == np.array(labels)) > 0.5
    assert np.array_equal(fitted.predict_proba([Image.open(path) for path in paths]), probabilities)
    assert fitted.score(paths, labels, np.arange(72)) != fitted.score(paths, labels)


@pytest.mark.slow
def test_a_folder_is_its_images_by_path(
    fitted: PeftSearchClassifier, images: tuple[list[Path], list[str]], image_folder: Path
):
    assert np.array_equal(fitted.predict_proba(image_folder), fitted.predict_proba(images[0]))


@pytest.mark.slow
def test_saved_and_loaded_it_predicts_the_same(
    fitted: PeftSearchClassifier, images: tuple[list[Path], list[str]], tmp_path: Path
):
    some = images[0][::9]
    for _ in range(2):  # writing to the same folder again is no mistake
        fitted.save(tmp_path / "saved")
    loaded = PeftSearchClassifier.load(tmp_path / "saved")
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert np.array_equal(loaded.predict_proba(some), fitted.predict_proba(some))
    assert loaded.predict(some).tolist() == fitted.predict(some).tolist()
    (tmp_path / "saved" / "other").write_text("")
    with pytest.raises(InputError, match="no empty folder"):
        fitted.save(tmp_path / "saved")


def change(settings: dict[str, Any], name: str, value: Any) -> str:
    return json.dumps(settings | {name: value})


@pytest.mark.parametrize(
    "damage",
    [
        lambda settings: "{",
        lambda settings: "[]",
        lambda settings: change(settings, "names", ["a", "b", "c"]),
        lambda settings: change(settings, "classes", ["a"]),
        lambda settings: change(settings, "dtype", "no type"),
        lambda settings: change(settings, "dtype", "<f8"),
        lambda settings: change(settings, "parameters", {"depth": 3}),
    ],
)
@pytest.mark.slow
def test_a_damaged_file_is_named(
    fitted: PeftSearchClassifier, tmp_path: Path, damage: Callable[[dict[str, Any]], str]
):
    fitted.save(tmp_path)
    file = tmp_path / "classifier.json"
    file.write_text(damage(json.loads(file.read_text())))
    with pytest.raises(InputError, match="give the folder as save wrote it"):
        PeftSearchClassifier.load(tmp_path)


def test_the_run_of_a_command_is_a_classifier_and_folders_have_scores(
    finished_run: SearchResult, image_folder: Path
):
    loaded = PeftSearchClassifier.load(finished_run.run)
    assert loaded.classes_.tolist() == ["across", "down", "slanting"]
    assert PeftSearchClassifier.load(f"{finished_run.run}/subnet.safetensors").backbone == loaded.backbone
    assert loaded.score(image_folder) == pytest.approx(finished_run.selected.mean("test_accuracy"))
    with pytest.raises(InputError, match="no classifier at"):
        PeftSearchClassifier.load(image_folder)


def test_prediction_has_the_pixel_limit_of_fit(finished_run: SearchResult, image_folder: Path):
    loaded = PeftSearchClassifier.load(finished_run.run)
    some = sorted(image_folder.rglob("*.png"))[:2]
    before = Image.MAX_IMAGE_PIXELS
    loaded.set_params(options={"max_pixels": 100})
    for call in (loaded.predict, loaded.predict_proba, lambda paths: loaded.score(paths, ["down", "down"])):
        with pytest.raises(InputError, match=r"pixels and the limit is 100, against decompression bombs"):
            call(some)
    assert before == Image.MAX_IMAGE_PIXELS
    loaded.set_params(options={"max_pixels": before * 3})
    assert loaded.predict(some).shape == (2,)


@pytest.mark.thorough
@pytest.mark.slow
def test_equal_images_in_another_form_give_an_equal_classifier(
    fitted: PeftSearchClassifier, unfitted: PeftSearchClassifier, images: tuple[list[Path], list[str]]
):
    paths, labels = images
    again = clone(unfitted).fit([str(path) for path in paths], np.array(labels, dtype=object))
    assert np.array_equal(again.predict_proba(paths[:9]), fitted.predict_proba(paths[:9]))


@pytest.mark.slow
def test_a_folder_is_fitted_and_the_run_is_kept(
    unfitted: PeftSearchClassifier, image_folder: Path, tmp_path: Path
):
    estimator = clone(unfitted).set_params(out=tmp_path / "kept")
    estimator.fit(image_folder)
    assert estimator.classes_.tolist() == ["across", "down", "slanting"]
    assert (tmp_path / "kept" / "run" / "results.json").is_file()
    again = clone(estimator).fit(image_folder)  # reads the run
    assert again.result_ == estimator.result_
    assert np.array_equal(again.predict_proba(image_folder), estimator.predict_proba(image_folder))


@pytest.mark.slow
def test_a_folder_is_scored_as_it_was_fitted(
    unfitted: PeftSearchClassifier, image_folder: Path, tmp_path: Path
):
    """Domains above the classes, in one of which an image is damaged; classes that are called like parts."""
    names = {"across": "train", "down": "test", "slanting": "slanting"}
    for domain, numbers in (("sketch", "0*"), ("photo", "1*"), ("clip", "2*")):
        for old, name in names.items():
            place = tmp_path / "data" / domain / name
            place.mkdir(parents=True)
            for file in (image_folder / old).glob(f"{numbers}.png"):
                shutil.copy(file, place)
    (tmp_path / "data" / "photo" / "test" / "bad.png").write_bytes(b"no image")
    reading = {"layout": "classes", "domains": True, "skip_bad_images": True}
    estimator = clone(unfitted).set_params(options=SHORT | reading, out=tmp_path / "out")
    estimator.fit(tmp_path / "data")
    assert estimator.result_ is not None
    accuracy = pytest.approx(estimator.result_.selected.mean("test_accuracy"))
    assert estimator.score(tmp_path / "data") == accuracy
    loaded = PeftSearchClassifier.load(tmp_path / "out" / "run")
    assert loaded.options == reading
    assert loaded.score(tmp_path / "data") == accuracy


def test_the_budget_is_the_plans_unless_one_is_given(unfitted: PeftSearchClassifier):
    assert "budget" not in PeftSearchClassifier(time="20m")._config("photos").fixed
    assert "budget" in PeftSearchClassifier(time="20m", budget="1%")._config("photos").fixed
    assert unfitted._config("photos").budget == "0.75%"


@pytest.mark.parametrize(
    ("parameters", "data", "message"),
    [
        ({}, {}, "y is missing"),
        ({}, {"y": [0]}, r"2 images, and labels of shape \(1,\)"),
        ({}, {"y": [[0], [1]]}, r"shape \(2, 1\)"),
        ({}, {"y": [0.0, float("nan")]}, "not a finite number"),
        ({}, {"y": np.array([None, "a"], dtype=object)}, "labels cannot be sorted"),
        ({}, {"X": "photos", "y": [0, 1]}, "omit y"),
        ({}, {"X": [], "y": []}, "there are no images"),
        ({}, {"X": ["gone.png", "~nouser/a.png"], "y": [0, 1]}, "the image 'gone.png' is missing"),
        ({}, {"X": np.zeros((2, 4)), "y": [0, 1]}, "give a folder, a list of paths"),
        ({"random_state": None}, {"y": [0, 1]}, "random_state is None"),
        ({"options": {"seed": 1}}, {"y": [0, 1]}, "the parameter random_state"),
        ({"options": {"dataset": "digits"}}, {"y": [0, 1]}, "given as X"),
        ({"options": {"epoch": 1}}, {"y": [0, 1]}, "epoch"),
        ({"budget": 0, "time": "soon"}, {"y": [0, 1]}, "time is 'soon'"),
    ],
)
def test_a_mistake_comes_before_the_work(
    parameters: dict[str, Any], data: dict[str, Any], message: str, tmp_path: Path
):
    given: dict[str, Any] = {"X": np.zeros((2, 8, 8, 3), np.uint8)} | data
    estimator = PeftSearchClassifier(**parameters, out=tmp_path / "out")
    with pytest.raises(InputError, match=message):
        estimator.fit(**given)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_predicted_before_fit(unfitted: PeftSearchClassifier, tmp_path: Path):
    for call in (unfitted.predict, unfitted.predict_proba, unfitted.score):
        with pytest.raises(NotFittedError):
            call([Image.new("RGB", (8, 8))])
    with pytest.raises(NotFittedError):
        unfitted.save(tmp_path / "saved")
