"""The module kinds that a supernet can hold, one file each."""

from supernet.modules.adapter import Adapter, ParallelAdapter, ScaledAdapter, ScaledParallelAdapter
from supernet.modules.elastic import ELASTIC, ElasticModule, Place, Size, register_elastic
from supernet.modules.lora import (
    LoRA,
    LoRAFirst,
    LoRAKey,
    LoRAProjection,
    LoRAQuery,
    LoRASecond,
    LoRAValue,
)
from supernet.modules.positions import LoRAPositions
from supernet.modules.prompts import Prompts, ShallowPrompts
from supernet.modules.ssf import SSF

__all__ = [
    "ELASTIC",
    "SSF",
    "Adapter",
    "ElasticModule",
    "LoRA",
    "LoRAFirst",
    "LoRAKey",
    "LoRAPositions",
    "LoRAProjection",
    "LoRAQuery",
    "LoRASecond",
    "LoRAValue",
    "ParallelAdapter",
    "Place",
    "Prompts",
    "ScaledAdapter",
    "ScaledParallelAdapter",
    "ShallowPrompts",
    "Size",
    "register_elastic",
]
