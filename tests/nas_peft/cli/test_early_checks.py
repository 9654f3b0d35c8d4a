"""A mistake in the options is answered before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from sweep import sweep

from nas_peft.cli.early_checks import require_data_and_weights
from nas_peft.settings.search_config import SearchConfig

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("options", "message"),
    sweep(
        [
            (["--dataset", "nosuch"], "unknown data set 'nosuch'"),
            (["--dataset", "digits", "--layout", "classes"], "--layout is for class folders"),
            (["--dataset", "digits", "--seed", "-1"], "seed is -1"),
            (["--dataset", "digits", "--backbone-weights", "none.pth"], "no backbone weights at 'none.pth'"),
        ],
        1,
    ),
)
def test_a_wrong_option_is_answered_without_torch(options, message):
    code = (
        "import sys\nfrom nas_peft.cli.app import app\n"
        f"try: app({['search', *options]!r})\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "assert not {'torch', 'timm', 'ray', 'optuna', 'sklearn'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("counts", "shots", "message"),
    [
        ({"a": 5, "b": 1}, None, "class 'b' has 1 image, 3 are needed"),
        ({"a": 5}, None, "training images of 1 class, 'a'; at least 2"),
        ({"a": 9, "b": 5}, 8, "fewer than 8 shots; give at most --shots"),
    ],
)
def test_too_few_images_are_told_before_torch(tmp_path, counts, shots, message):
    for name, count in counts.items():
        for number in range(count):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{number}.png")
    code = (
        "import sys\nfrom nas_peft.cli.early_checks import require_data_and_weights\n"
        "from nas_peft.settings.search_config import SearchConfig\n"
        f"try: require_data_and_weights(SearchConfig.of(dataset={str(tmp_path)!r}, shots={shots}))\n"
        "except Exception as error: print(error)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert message in done.stdout


def test_runs_are_compared_without_torch():
    code = "import sys, nas_peft.compare.runs, nas_peft.compare.table\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_found_is_said_before_anything_heavy_is_loaded(image_folder: Path):
    said = require_data_and_weights(SearchConfig.of(dataset=str(image_folder)))
    assert said == "found 72 images in 3 classes; loading PyTorch"
    assert require_data_and_weights(SearchConfig.of(dataset="digits")) == "data set digits; loading PyTorch"
