"""The package is light: it needs numpy and pyyaml, and touches no global random state."""

import subprocess
import sys

import numpy as np

import search_spaces


def test_it_imports_without_the_heavy_libraries():
    code = (
        "import sys, search_spaces; search_spaces.load_space('default', 4); "
        "print([m for m in ('torch', 'timm', 'optuna', 'ray', 'supernet', 'nas_peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_names_exist_once():
    assert len(set(search_spaces.__all__)) == len(search_spaces.__all__)
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)


def test_global_random_state_is_untouched():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    space = search_spaces.load_space("default", 4)
    rng = np.random.default_rng(0)
    a = search_spaces.mutate(space, space.sample(rng), rng, 0.5)
    search_spaces.crossover(space, a, space.sample(rng), rng)
    search_spaces.BudgetSampler(space, search_spaces.BackboneShape.vit(16, 4), 100, 1000).sample(rng)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
