"""A small real data set and one whole run on it, which several tests read."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from process_state import state_of_the_process
from selenium import webdriver

import nas_peft
from nas_peft.protocol.decision import Contestant, decide
from nas_peft.run.progress import StageBars
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PlanRecord, Speeds
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.image_scores import ImageScores
from supernet import Backbone, create_backbone

STRIPES = {"across": (0, 1), "down": (1, 0), "slanting": (1, 1)}
IMAGES_PER_CLASS = 24


def _striped(direction: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Noisy stripes of two random colours; only their direction tells the class."""
    rows, columns = np.mgrid[:32, :32]
    phase = (direction[0] * columns + direction[1] * rows) / rng.uniform(3, 6) + rng.uniform(0, 2 * np.pi)
    wave = (np.sin(phase) + 1)[..., None] / 2
    first, second = rng.uniform(0, 255, (2, 3))
    pixels = first * wave + second * (1 - wave) + rng.normal(0, 60, (32, 32, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def write_striped_images() -> Callable[[Path], Path]:
    """Writes class folders of 24 striped images each; always the same."""

    def write(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        for name, direction in STRIPES.items():
            (folder / name).mkdir(parents=True)
            for index in range(IMAGES_PER_CLASS):
                _striped(direction, rng).save(folder / name / f"{index:02}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory, write_striped_images: Callable[[Path], Path]) -> Path:
    """Three classes of striped images; tests don't change it."""
    return write_striped_images(tmp_path_factory.mktemp("data") / "stripes")


@pytest.fixture(scope="session")
def tiny_values(image_folder: Path) -> dict[str, Any]:
    """A configuration of a few seconds: two generations of six candidates, short trainings."""
    return {
        "dataset": str(image_folder),
        "budget": "0.75%",
        "batch_size": 16,
        "supernet_epochs": 2,
        "generations": 2,
        "population": 6,
        "parents": 3,
        "retrain": 1,
        "epochs": 1,
        "head_epochs": 3,
        "linear_epochs": 2,
    }


@pytest.fixture(scope="session")
def tiny_config(tiny_values: dict[str, Any]) -> SearchConfig:
    return SearchConfig.of(**tiny_values).on("cpu")


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """The shipped one; tests don't change it."""
    return create_backbone("vit_micro_patch8_32")


@pytest.fixture(scope="session")
def tiny_inputs(tiny_config: SearchConfig) -> SearchInputs:
    """The loaded inputs of the tiny configuration, with the test part sealed."""
    return SearchInputs.load(tiny_config, StageBars(quiet=True))


@pytest.fixture(scope="session")
def run_between_states(
    tiny_values: dict[str, Any], tmp_path_factory, programs: str
) -> tuple[dict[str, Any], SearchResult, dict[str, Any]]:
    """The state of the process, a whole undisturbed run by the library's call, and the state after it."""
    import ray

    assert not ray.is_initialized()
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    before = state_of_the_process()
    result = nas_peft.search(**tiny_values, out=out, device="cpu")
    after = state_of_the_process()
    assert not ray.is_initialized()
    return before, result, after


@pytest.fixture(scope="session")
def finished_run(run_between_states: tuple[dict[str, Any], SearchResult, dict[str, Any]]) -> SearchResult:
    """A whole undisturbed run of the tiny configuration, which started a Ray of its own and stopped it."""
    return run_between_states[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium, which is Debian's ``chromium`` with ``chromium-driver``; ``.ci/run`` installs both.

    Where they are missing its tests are skipped, unless the environment variable NAS_PEFT_REQUIRE_BROWSER is
    set, as ``.ci/run`` does: then they fail.
    """
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing and not os.environ.get("NAS_PEFT_REQUIRE_BROWSER"):
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install chromium chromium-driver")
    assert not missing, f"{missing} are missing; .ci/run installs them"
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1300"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield found
    found.quit()


@pytest.fixture(scope="session")
def best_row() -> Callable[[SearchResult, Sequence[RowResult]], RowResult]:
    """Chooses among rows by the rule, from the scores of images that the run folder has kept."""

    def choose(result: SearchResult, rows: Sequence[RowResult]) -> RowResult:
        contestants = []
        for row in rows:
            names = [f"{row.name}.train.lr{s.lr:g}.seed{s.seed}.val.safetensors" for s in row.seeds]
            images = [ImageScores((Path(result.run) / "trainings" / name).read_bytes()) for name in names]
            losses = [s.val_loss for s in row.seeds]
            accuracies = [s.val_accuracy for s in row.seeds]
            contestants.append(Contestant.of(row.name, row.module_params, accuracies, losses, images))
        name = decide(contestants).name
        return next(row for row in rows if row.name == name)

    return choose


@pytest.fixture(scope="session")
def running_ray(finished_run: SearchResult, ray_address: str) -> str:
    """The address of a Ray that the caller has started, for tests that read the finished run, too."""
    return ray_address


@pytest.fixture
def plan_record() -> PlanRecord:
    """A plan of five minutes that sets no option."""
    return PlanRecord(
        time="5m",
        seconds=300.0,
        before=1.0,
        level=1,
        levels=5,
        set_options={},
        speeds=Speeds(forward=1.0, supernet=7.0, subnet=4.0, full=5.0, places=2),
        stages={},
        lengthened=[],
    )
