"""Neural architecture search for parameter-efficient fine-tuning of Vision Transformers.

import nas_peft

result = nas_peft.search(dataset="digits", time="5m")
print(result.to_dataframe())
subnet = nas_peft.load_subnet(f"{result.run}/subnet.safetensors")
probabilities = subnet.probabilities([image])

``PeftSearchClassifier`` is the same in the style of scikit-learn. docs/python.md has all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_peft.data import load_dataset as load_dataset
    from nas_peft.deployment.exporting import export_model as export_model
    from nas_peft.deployment.run_subnet import subnet_of_run as subnet_of_run
    from nas_peft.library.classifier import PeftSearchClassifier as PeftSearchClassifier
    from nas_peft.library.jobs import baselines as baselines
    from nas_peft.library.jobs import search as search
    from nas_peft.machine.ray_session import RayOptions as RayOptions
    from nas_peft.run.results import SearchResult as SearchResult
    from nas_peft.run.version import __version__ as __version__
    from nas_peft.settings.baselines_config import BaselinesConfig as BaselinesConfig
    from nas_peft.settings.search_config import SearchConfig as SearchConfig
    from search_spaces.errors import InputError as InputError
    from supernet import MultiTaskModel as MultiTaskModel
    from supernet import Subnet as Subnet
    from supernet import load_subnet as load_subnet

# Imported on first use, so that the command line starts fast and `load_subnet` needs no Ray. No module may be
# called like a public name: importing the module would replace the name.
_HOMES = {
    "BaselinesConfig": "nas_peft.settings.baselines_config",
    "InputError": "search_spaces.errors",
    "MultiTaskModel": "supernet",
    "PeftSearchClassifier": "nas_peft.library.classifier",
    "RayOptions": "nas_peft.machine.ray_session",
    "SearchConfig": "nas_peft.settings.search_config",
    "SearchResult": "nas_peft.run.results",
    "Subnet": "supernet",
    "__version__": "nas_peft.run.version",
    "baselines": "nas_peft.library.jobs",
    "export_model": "nas_peft.deployment.exporting",
    "load_dataset": "nas_peft.data",
    "load_subnet": "supernet",
    "search": "nas_peft.library.jobs",
    "subnet_of_run": "nas_peft.deployment.run_subnet",
}

__all__ = [
    "BaselinesConfig",
    "InputError",
    "MultiTaskModel",
    "PeftSearchClassifier",
    "RayOptions",
    "SearchConfig",
    "SearchResult",
    "Subnet",
    "__version__",
    "baselines",
    "export_model",
    "load_dataset",
    "load_subnet",
    "search",
    "subnet_of_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nas_peft' has no attribute {name!r}")
    import random

    stream = random.getstate()
    try:
        return getattr(import_module(_HOMES[name]), name)
    finally:
        random.setstate(stream)  # some libraries draw from it while they are imported


def __dir__() -> list[str]:
    return sorted({name for name in globals() if name.startswith("_")} | set(__all__))
