"""The module kinds that a supernet can hold, one file each."""

from supernet.modules.adapter import (
    Adapter,
    AdapterPlus,
    AttentionAdapter,
    ParallelAdapter,
    PreAttentionAdapter,
    PreMLPAdapter,
    ScaledAdapter,
    ScaledParallelAdapter,
)
from supernet.modules.convpass import AttentionConvpass, MLPConvpass
from supernet.modules.dora import DoRA, DoRAFirst, DoRAProjection, DoRAQueriesKeysValues, DoRASecond
from supernet.modules.elastic import ELASTIC, ElasticModule, Grid, Place, Size, register_elastic
from supernet.modules.fact import FacT
from supernet.modules.in_layer import InLayer
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
from supernet.modules.rep_adapter import AttentionRepAdapter, MLPRepAdapter
from supernet.modules.ssf import SSF

__all__ = [
    "ELASTIC",
    "SSF",
    "Adapter",
    "AdapterPlus",
    "AttentionAdapter",
    "AttentionConvpass",
    "AttentionRepAdapter",
    "DoRA",
    "DoRAFirst",
    "DoRAProjection",
    "DoRAQueriesKeysValues",
    "DoRASecond",
    "ElasticModule",
    "FacT",
    "Grid",
    "InLayer",
    "LoRA",
    "LoRAFirst",
    "LoRAKey",
    "LoRAPositions",
    "LoRAProjection",
    "LoRAQuery",
    "LoRASecond",
    "LoRAValue",
    "MLPConvpass",
    "MLPRepAdapter",
    "ParallelAdapter",
    "Place",
    "PreAttentionAdapter",
    "PreMLPAdapter",
    "Prompts",
    "ScaledAdapter",
    "ScaledParallelAdapter",
    "ShallowPrompts",
    "Size",
    "register_elastic",
]
