"""Options that several commands share."""

from pathlib import Path

import pytest

from nas_peft.cli.subnet_options import MAX_PIXELS, require_outputs
from nas_peft.data.decoding import DEFAULT_MAX_PIXELS
from nas_peft.serving.limits import Limits
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError


def test_an_image_that_is_searched_with_is_predicted_evaluated_and_served():
    """One limit of pixels by default, so that no command refuses what another takes."""
    searched = SearchConfig(dataset="digits").max_pixels
    assert MAX_PIXELS == searched == Limits().max_pixels == DEFAULT_MAX_PIXELS


def test_an_output_is_none_of_the_files_that_are_needed(tmp_path: Path):
    image, other = tmp_path / "image.png", tmp_path / "other.png"
    image.touch()
    other.touch()
    require_outputs(other, tmp_path / "new.png", None, inputs=[image])
    (tmp_path / "link.png").symlink_to(image)
    for output in (image, tmp_path / "link.png", tmp_path / ".." / tmp_path.name / "image.png"):
        with pytest.raises(InputError, match="is a file that the command reads; give another path"):
            require_outputs(output, inputs=[tmp_path / "missing.png", image])
    with pytest.raises(InputError, match="two outputs are"):
        require_outputs(other, other)
    with pytest.raises(InputError, match="is a folder"):
        require_outputs(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        require_outputs(tmp_path / "no" / "x.csv")
