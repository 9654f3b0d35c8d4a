"""The jobs as functions with keywords."""

import logging
from pathlib import Path
from typing import Any

import pytest

import nas_peft
from nas_peft.run.results import SearchResult
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError


def test_keywords_find_the_run_of_the_command_line(
    finished_run: SearchResult, tiny_values: dict[str, Any], caplog, capfd
):
    with caplog.at_level(logging.INFO, logger="nas_peft"):
        found = nas_peft.search(
            **tiny_values | {"dataset": Path(tiny_values["dataset"])}, out=finished_run.run
        )
    assert found == finished_run
    said = [record.getMessage() for record in caplog.records if record.name == "nas_peft"]
    assert said[0].startswith("data: ended after ")
    assert said[1].startswith("data: class folders in ")
    assert capfd.readouterr() == ("", "")


def test_a_configuration_is_taken_as_before(finished_run: SearchResult, tiny_config: SearchConfig):
    assert nas_peft.search(tiny_config, finished_run.run) == finished_run


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nas_peft.search(nas_peft.SearchConfig(dataset="digits"), seed=1), "option seed beside it"),
        (lambda: nas_peft.search("digits"), "give a SearchConfig, or options as keywords"),
        (lambda: nas_peft.search(nas_peft.BaselinesConfig(dataset="digits")), "give a SearchConfig"),
        (lambda: nas_peft.baselines(nas_peft.SearchConfig(dataset="digits")), "give a BaselinesConfig"),
        (lambda: nas_peft.search(dataset="digits", epoch=3), "epoch"),
        (lambda: nas_peft.search(), "no data set is given; give dataset a folder or a name"),
        (lambda: nas_peft.baselines(seeds=2), "no data set is given; give dataset a folder or a name"),
        (lambda: nas_peft.search(datset="x"), "there is no option 'datset'; did you mean 'dataset'"),
        (lambda: nas_peft.search(dataset="digits", debug=True), "there is no option 'debug'$"),
        (lambda: nas_peft.baselines(dataset="digits", time="5m"), "time"),
        (
            lambda: nas_peft.search(dataset=Path("no/such/folder"), budget=5000),
            "no such folder 'no/such/folder'",
        ),
        (lambda: nas_peft.search(dataset="digits", image_size=3.5), "image_size"),
    ],
)
def test_a_mistake_is_one_line(call, message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
