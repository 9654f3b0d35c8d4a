"""Baselines by name: methods without a budget, and modules at the sizes of their papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_peft.settings.methods import METHODS, Method
from search_spaces import KINDS, Architecture, InputError
from search_spaces.errors import unknown_name


@dataclass(frozen=True)
class Baseline:
    """A method that searched subnets are compared with, whatever its number of parameters.

    ``kinds`` and ``size`` are its modules, the same in every layer that can have them; ``about`` gives the
    reason for the size. Ranks, widths and numbers of tokens are those published for ViT-B/16 and stay the
    same for every backbone; their cost follows the backbone's width. NOAH's modules, and the ranks of pruned
    LoRA, are known only when a search or a first training has ended, and are within the budget.
    """

    name: str
    label: str
    method: Method = "subnet"
    kinds: tuple[str, ...] = ()
    size: int = 0
    about: str = ""

    def architecture(self, depth: int) -> Architecture:
        """The baseline's modules in a backbone of ``depth`` layers."""
        layers = {kind: 1 if KINDS[kind].first_layer_only else depth for kind in self.kinds}
        return Architecture.of(depth, {k: [self.size] * n + [0] * (depth - n) for k, n in layers.items()})


NOAH = "noah"

PRUNED: Method = "lora-pruned"

BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        *(Baseline(n, METHODS[n].label, n) for n in ("linear", "full", "lp-ft", "l2-sp", "bitfit")),
        Baseline(
            "vpt-shallow",
            "VPT-shallow, 50 tokens",
            kinds=("shallow_prompt_tokens",),
            size=50,
            about="among the paper's 1 to 200 (arXiv 2203.12119); they exist once, so they are cheap",
        ),
        Baseline(
            "vpt-deep",
            "VPT-deep, 10 tokens",
            kinds=("prompt_tokens",),
            size=10,
            about="among the paper's 1 to 200 (arXiv 2203.12119); in 12 layers as many as 120 shallow ones",
        ),
        Baseline(
            "lora",
            "LoRA, rank 8",
            kinds=("lora_rank",),
            size=8,
            about="NOAH's baseline (arXiv 2206.04673); LoRA's paper (arXiv 2106.09685) finds 4 to 8 enough",
        ),
        Baseline(
            "adapter",
            "adapters, width 8",
            kinds=("adapter_dim",),
            size=8,
            about="NOAH's baseline (arXiv 2206.04673), as for LoRA",
        ),
        Baseline(
            "ssf",
            "SSF, all operations",
            kinds=("ssf",),
            size=6,
            about="as published (arXiv 2210.08823): after every operation",
        ),
        Baseline(
            "adapter-plus",
            "Adapter+, width 8",
            kinds=("adapter_dim_plus",),
            size=8,
            about="the default of the paper's code (arXiv 2406.06820), and the width of the other adapters",
        ),
        Baseline(
            "eva",
            "LoRA from activations, rank 8",
            "eva",
            kinds=("lora_rank",),
            size=8,
            about="the rank of LoRA beside it; the initial values alone differ (arXiv 2410.07170)",
        ),
        Baseline(
            "convpass",
            "Convpass, width 8",
            kinds=("convpass_dim_attention", "convpass_dim_mlp"),
            size=8,
            about="as published (arXiv 2207.07039): beside attention and beside the MLP",
        ),
        Baseline(
            PRUNED,
            "LoRA, pruned to the budget",
            PRUNED,
            kinds=("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2"),
            about="trained at up to twice the budget, cut by its singular values, and trained on "
            "(nas_peft/stages/lora_pruning.py)",
        ),
        Baseline(
            NOAH,
            "NOAH as published",
            about="what its own supernet and search find within the budget (nas_peft/stages/noah.py)",
        ),
    )
}


def baseline_names(given: Sequence[str]) -> tuple[str, ...]:
    """The baselines that ``given`` stands for: each name once, ``none`` alone, or ``all``, which ``noah`` may
    follow.

    ``all`` excludes NOAH, whose search takes several times as long as the other baselines. Raises
    `InputError` for an unknown name, with the nearest known one, and for a name given twice.
    """
    names = list(given)
    if names == ["none"]:
        return ()
    if names[:1] == ["all"]:
        names = [*(name for name in BASELINES if name != NOAH), *names[1:]]
    for name in names:
        if name not in BASELINES:
            raise unknown_name("baseline", name, BASELINES, "Or give all, or none, alone.")
        if names.count(name) > 1:
            raise InputError(f"the baseline '{name}' is given twice; give each once")
    return tuple(names)
