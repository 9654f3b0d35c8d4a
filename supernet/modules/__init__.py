"""The module kinds that a supernet can hold, one file each."""

from supernet.modules.adapter import Adapter
from supernet.modules.elastic import ELASTIC, ElasticModule, Place, Size, register_elastic
from supernet.modules.lora import LoRA
from supernet.modules.prompts import Prompts

__all__ = ["ELASTIC", "Adapter", "ElasticModule", "LoRA", "Place", "Prompts", "Size", "register_elastic"]
