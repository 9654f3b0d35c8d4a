"""Options that others leave nothing to do."""

import pytest

from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError


@pytest.mark.parametrize("of", [BaselinesConfig, SearchConfig])
def test_full_fine_tuning_that_is_not_trained_cannot_be_exported(of: type[BaselinesConfig]):
    with pytest.raises(InputError, match=r"allow_full is given, and full is not among .* 'linear'; add it"):
        of.of(dataset="digits", baselines="linear", allow_full=True)


def test_without_retraining_nothing_is_allowed():
    with pytest.raises(InputError, match="no_retrain skips all separate trainings, and allow_full sets"):
        SearchConfig.of(dataset="digits", no_retrain=True, baselines=("linear", "full"), allow_full=True)
