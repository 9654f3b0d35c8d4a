"""Files of the user's do not replace modules in Ray's workers."""

import sys

import pytest

from nas_peft.machine.import_path import ImportPath, job_config


def test_only_folders_of_this_process_are_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", ["/a", "/b"])
    path = ImportPath()
    path.extend(["/a", "/elsewhere"])
    assert path == ["/a"]
    monkeypatch.setattr(sys, "path", ["", "/b"])  # an interactive Python imports from the current folder
    path.extend(["/elsewhere"])
    assert path == ["/a", "/elsewhere"]


def test_the_settings_of_a_job_keep_to_it(monkeypatch: pytest.MonkeyPatch):
    config = job_config()
    monkeypatch.setattr(sys, "path", ["/a"])
    config._py_driver_sys_path.extend(["/a", "/elsewhere"])
    assert list(config._get_proto_job_config().py_driver_sys_path) == ["/a"]
