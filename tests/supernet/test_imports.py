"""The package runs where only torch, timm and safetensors are."""

import pytest

import supernet

pytestmark = pytest.mark.slow

UNNEEDED = ("ray", "optuna", "pydantic", "typer", "rich", "sklearn", "nas_peft")


def test_it_imports_without_the_libraries_of_the_tool(run_program):
    # A module that is None cannot be imported. (timm takes wandb where it is, and that takes pydantic.)
    code = f"import sys; sys.modules.update(dict.fromkeys({UNNEEDED})); import supernet"
    done = run_program("-c", code)
    assert done.returncode == 0, done.stderr


def test_all_names_exist_once():
    assert len(set(supernet.__all__)) == len(supernet.__all__)
    assert all(hasattr(supernet, name) for name in supernet.__all__)
