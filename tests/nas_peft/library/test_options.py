"""The keywords of the jobs are the fields of their configurations."""

from typing import get_type_hints

import pytest

from nas_peft.library.options import BaselinesOptions, SearchOptions
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig


@pytest.mark.parametrize(
    ("options", "config"), [(SearchOptions, SearchConfig), (BaselinesOptions, BaselinesConfig)]
)
def test_the_keywords_are_the_options_of_the_command_line(options, config):
    """All fields but those that a run fills in itself."""
    fields = config.model_fields
    on_the_command_line = {
        name for name, field in fields.items() if (field.json_schema_extra or {}) != {"command_line": False}
    }
    assert set(get_type_hints(options)) == on_the_command_line
    assert options.__required_keys__ == frozenset()
