"""Tasks, methods, sizes and learning rates that the small VTAB compares."""

from __future__ import annotations

from nas_peft.settings.methods import Method

EMBEDDED = ("digits", "shapes-location", "shapes-orientation", "shapes-count")
"""Tasks that the package itself holds or renders."""
FOLDERS = ("cifar100", "caltech101", "dtd10")
"""Names of the task folders in ``--data``."""
BUDGET = "71000"
"""Parameters of 69 vectors in each layer, as many as NOAH's 0.64 million leave each layer of ViT-B/16."""
MODULE_RATES = (3e-3, 1e-2, 3e-2)
"""Learning rates of every subnet, low to high; sizes are chosen at the middle one."""
RATES: dict[Method, tuple[float, ...]] = {
    "full": (3e-4, 1e-3, 3e-3, 1e-2),
    "lp-ft": (3e-4, 1e-3, 3e-3, 1e-2),
    "l2-sp": (3e-4, 1e-3, 3e-3, 1e-2),
    "bitfit": (5e-3, 1.5e-2, 5e-2, 1.5e-1),
}
"""Learning rates of the baselines other than linear probing."""
LINEAR_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
LINEAR_EPOCHS = 100
SINGLES: dict[str, tuple[str, tuple[int, ...]]] = {
    "VPT-deep": ("prompt_tokens", (64, 16)),
    "LoRA": ("lora_rank", (16, 4)),
    "adapter": ("adapter_dim", (32, 8)),
    "SSF": ("ssf", (6, 2)),
}
"""Kind of each single method, with the largest size within the budget and a smaller one to choose from."""
PROJECTIONS = ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")
PROJECTIONS_RANK = 4
POSITIONS = "lora_rank_pos"
POSITIONS_RANK = 16
SHALLOW_TOKENS = 50
BASELINES: dict[str, Method] = {
    "full fine-tuning": "full",
    "linear probing": "linear",
    "LP-FT": "lp-ft",
    "L2-SP": "l2-sp",
    "BitFit": "bitfit",
}
"""Baselines that have no architecture, by their label in the report."""
NOAH_EPOCHS = 5
"""Epochs of NOAH's supernet for each epoch of a retraining: 500 for 100 in the paper."""
