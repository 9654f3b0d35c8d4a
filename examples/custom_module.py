"""A module kind of your own: BitFit, learned biases in a layer, as one class and one registration.

Once this file is imported, a search space can have the kind, as in ``bitfit: {sizes: [0, 1]}``::

    nas-peft search --dataset digits --space my-space.yaml --module-file examples/custom_module.py

`main` does in a few calls what that command does::

    python examples/custom_module.py --dataset digits --out biases.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from nas_peft.data import load_dataset
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.searching.searchers import Evolution, SearchTask
from search_spaces import BackboneShape, BudgetSampler, InputError, Kind, SearchSpace, count_params
from supernet import (
    ElasticModule,
    OnePerImage,
    Preprocessing,
    Recipe,
    Subnet,
    Supernet,
    create_backbone,
    register_elastic,
    save_subnet,
    train,
)
from supernet.modules import Place, Size


def widths(shape: BackboneShape) -> dict[Place, int]:
    """Number of outputs of each operation that has a bias."""
    d, e = shape.width, shape.attention_width
    return {"norm1": d, "qkv": 3 * e, "proj": d, "norm2": d, "fc1": shape.fc1_width, "fc2": d}


@register_elastic(Kind("bitfit", "BitFit", lambda n, shape: n * sum(widths(shape).values()), max_size=1))
class BitFit(ElasticModule):
    """Adds a learned bias to the output of every operation (Ben Zaken et al., arXiv 2106.10199).

    A bias has no units to choose a number of, so the size is 0 or 1. Biases start at zero and can be merged
    into the backbone.
    """

    places = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")
    unsized = frozenset(places)  # no parameter's shape depends on the size
    mergeable = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        for place, width in widths(shape).items():
            self.register_parameter(place, nn.Parameter(torch.empty(width)))

    def reset(self, generator: torch.Generator) -> None:
        for bias in self.parameters():
            nn.init.zeros_(bias)

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        bias: Tensor = self.get_parameter(place)
        return y + (bias if isinstance(size, int) else (size > 0)[:, None, None] * bias)

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return weight, bias + self.get_parameter(place).detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits", help="name or folder of the data set")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of training the supernet")
    parser.add_argument("--out", type=Path, default=Path("subnet.safetensors"), help="checkpoint to write")
    args = parser.parse_args()
    backbone, recipe, budget = create_backbone("vit_micro_patch8_32"), Recipe(args.epochs, lr=5e-3), 12_000
    prepared = Preprocessing.of(backbone.model)
    data = load_dataset(args.dataset, to_tensor=prepared.to_tensor)
    kinds = {"bitfit": {"sizes": [0, 1]}, "lora_rank": {"sizes": [0, 1, 2, 4]}}
    space = SearchSpace.from_dict({"name": "biases", "depth": backbone.depth, "kinds": kinds})
    sampler = BudgetSampler(space, backbone.shape, budget // 2, budget)
    supernet = Supernet(backbone.model, space.largest(), len(data.classes))
    chooser = OnePerImage(sampler.sample, space.largest().kinds)
    train(supernet, data.train.images, data.train.labels, preprocessing=prepared, chooser=chooser,
          recipe=recipe, seed=0)  # fmt: skip
    task = SearchTask(space, lambda a: count_params(a, backbone.shape) <= budget, sampler, [], 16, 1, seed=0)
    scorer = LocalScorer([Fold(supernet.eval(), data.val)], prepared)
    evaluator = InheritedEvaluator(scorer, backbone.shape, len(data.classes), racing=False)
    found = evaluator.evaluate(Evolution(task).ask(0, []), generation=0, first_number=0)
    best = min(found.candidates, key=lambda candidate: candidate.loss)
    print(f"{best.architecture.describe()}: validation accuracy {best.accuracy:.1%} with inherited weights")
    network = supernet.extract(best.architecture)
    save_subnet(Subnet(network, backbone, data.classes, prepared, {}, recipe.to_dict()), args.out)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
