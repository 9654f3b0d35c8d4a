"""Methods of separate training: which weights each trains, and how its paper does so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Trainable

Method: TypeAlias = Literal["subnet", "linear", "full", "lp-ft", "l2-sp", "bitfit", "eva", "lora-pruned"]

WEIGHT_DECAY = 1e-4

RATES = {"lr": 5e-3, "full_lr": 3e-4, "bitfit_lr": 1e-2}
"""Peak learning rates by the option that changes them."""


@dataclass(frozen=True)
class MethodInfo:
    """A way to train from the pretrained weights.

    All methods share our recipe: AdamW, batches of 64, 10% linear warm-up, cosine decay to zero, the last
    epoch, and the augmentation of the run (by default none). They differ in the weights they train, not in
    the care taken over their recipe.

    Args:
        name: spelling in flags and files.
        label: name in tables.
        trains: name of the `supernet.TrainableSet` that receives gradients.
        rate: option that holds the learning rate; ``None`` where the rate is always chosen on validation
            data.
        weight_decay: AdamW weight decay; 0 where the ``penalty`` takes its place.
        head: training of the head beforehand: ``briefly`` alone (the recipe of the head), as a whole linear
            ``probe`` (the recipe of linear probing), or ``not`` at all.
        start: initial values of the modules: ``drawn``, read from the ``activations`` of the training
            images, or ``pruned`` after a first half of the epochs (`nas_peft.stages.lora_pruning`).
        penalty: α and β of `supernet.Penalty`, else ``None``.
        paper: source of the method.
        taken_over: which parts of the paper's recipe are kept, and which are ours beyond the shared recipe.
    """

    name: Method
    label: str
    trains: Trainable
    rate: str | None
    head: Literal["briefly", "probe", "not"]
    paper: str
    taken_over: str
    weight_decay: float = WEIGHT_DECAY
    start: Literal["drawn", "activations", "pruned"] = "drawn"
    penalty: tuple[float, float] | None = None

    @property
    def lr(self) -> float | None:
        """The default peak learning rate."""
        return RATES[self.rate] if self.rate else None


METHODS: dict[Method, MethodInfo] = {
    info.name: info
    for info in (
        MethodInfo(
            "subnet",
            "subnet",
            trains="modules",
            rate="lr",
            head="briefly",
            paper="NOAH, arXiv 2206.04673, and that of each kind of module (search_spaces/kinds.py)",
            taken_over="As NOAH retrains: AdamW, weight decay 1e-4, batches of 64, cosine, no "
            "augmentation unless asked for. Its 100 epochs and learning rate of 1e-3 are options here. VPT, "
            "LoRA, adapters and SSF alone are subnets of one kind and are trained the same; "
            "VPT's own grids of rates (SGD, 0.05 to 50), SSF's augmentation and LoRA's dropout "
            "are not taken over. Of Adapter+ (arXiv 2406.06820) the position, the scale for each channel, "
            "GELU and the initial values are taken over; its stochastic depth of 0.1 is an option "
            "(--drop-path). Of Convpass (arXiv 2207.07039) the modules and their initial values are taken "
            "over; its dropout of 0.1 is not, and its factor s, which the paper chooses for each task, is an "
            "option (--module-scale; by default 1), as are LoRA's and AdaptFormer's (0.1 in its paper). "
            "Of FacT (arXiv 2212.03145) the tensor-train form on all projections is taken over, with one "
            "scale of the initial values of its cores for all ranks; its factor s is --module-scale too, "
            "its drop path of 0.1 is --drop-path, and its dropout of 0.1 is not taken over.",
        ),
        MethodInfo(
            "linear",
            "linear probing",
            trains="head",
            rate=None,
            head="not",
            paper="arXiv 1610.01644",
            taken_over="The head on frozen features. The learning rate is always chosen on validation "
            "data, since it costs seconds on features that are computed once.",
        ),
        MethodInfo(
            "full",
            "full fine-tuning",
            trains="all",
            rate="full_lr",
            head="briefly",
            paper="arXiv 2010.11929",
            taken_over="All weights. The paper fine-tunes Vision Transformers by SGD at a rate from a grid "
            "on validation data; the optimiser is ours, the grid an option.",
        ),
        MethodInfo(
            "lp-ft",
            "LP-FT",
            trains="all",
            rate="full_lr",
            head="probe",
            paper="Kumar et al. 2022, arXiv 2202.10054",
            taken_over="The order: linear probing to its end at the rate chosen for it, then all weights "
            "from there. The paper takes both rates from grids on validation data and trains by "
            "SGD.",
        ),
        MethodInfo(
            "l2-sp",
            "L2-SP",
            trains="all",
            rate="full_lr",
            head="briefly",
            paper="Li, Grandvalet, Davoine 2018, arXiv 1802.01483",
            taken_over="The penalty in place of weight decay, with β = 0.01 as in the paper; α, which it "
            "chooses by cross-validation, is 0.1. The penalty's gradient goes through AdamW "
            "with that of the loss; the paper trains by SGD with momentum, from a random head.",
            weight_decay=0.0,
            penalty=(0.1, 0.01),
        ),
        MethodInfo(
            "bitfit",
            "BitFit",
            trains="biases",
            rate="bitfit_lr",
            head="briefly",
            paper="Ben Zaken, Ravfogel, Goldberg 2022, arXiv 2106.10199",
            taken_over="All biases of the backbone, those of its normalisations among them, and the "
            "head. The paper's rates are about ten times those of full fine-tuning, from a grid; "
            "the default here is higher still: of 1e-3 to 2e-2 it was among the best on validation data.",
        ),
        MethodInfo(
            "eva",
            "LoRA from activations",
            trains="modules",
            rate="lr",
            head="briefly",
            paper="EVA, Paischer et al. 2024, arXiv 2410.07170",
            taken_over="The initial values: LoRA's first factor is the leading right singular vectors of its "
            "projection's inputs. The paper reads minibatches until the vectors converge; here up to 1,024 "
            "training images are read, once. All layers have the same rank: the paper's redistribution of "
            "ranks by explained variance is not taken over (its ρ = 1). The recipe is that of LoRA.",
            start="activations",
        ),
        MethodInfo(
            "lora-pruned",
            "LoRA, pruned",
            trains="modules",
            rate="lr",
            head="briefly",
            paper="none; AdaLoRA, Zhang et al. 2023, arXiv 2303.10512, is its nearest relative",
            taken_over="The idea that singular values say where rank is needed. AdaLoRA trains factors of "
            "a singular value decomposition and cuts them step by step, by sensitivity. Here plain LoRA on "
            "all projections, of one rank and up to twice the budget, is trained for half of the epochs on "
            "the training set, by the recipe of LoRA and the run's first seed. It is cut once, to the "
            "budget, by one threshold for all layers and projections. The rest is trained for the other "
            "half, for each seed and for the final models. Each half has a whole schedule, from warm-up to "
            "zero, since the moments of AdamW mean nothing to the new factors.",
            start="pruned",
        ),
    )
}
