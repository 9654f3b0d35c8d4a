"""Options that several commands share."""

from nas_peft.cli.subnet_options import MAX_PIXELS
from nas_peft.data.decoding import DEFAULT_MAX_PIXELS
from nas_peft.serving.limits import Limits
from nas_peft.settings.search_config import SearchConfig


def test_an_image_that_is_searched_with_is_predicted_evaluated_and_served():
    """One limit of pixels by default, so that no command refuses what another takes."""
    searched = SearchConfig(dataset="digits").max_pixels
    assert MAX_PIXELS == searched == Limits().max_pixels == DEFAULT_MAX_PIXELS
