"""The version is written in one place, and what repeats it agrees."""

import re
from pathlib import Path

import yaml

from nas_peft.run.version import __version__

ROOT = Path(__file__).parents[3]


def test_the_package_has_its_version_from_here():
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert 'version = { attr = "nas_peft.run.version.__version__" }' in project
    assert not re.search(r'^version = "', project, flags=re.MULTILINE)


def test_changelog_and_citation_have_the_same_version():
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert versions[0] == __version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
