"""A search as calls of the library: backbone, data, supernet, search, retraining, checkpoint.

``nas-peft search`` adds progress bars, a record to resume from, Ray, baselines and a test. The calls here
are without all that, for experiments of your own::

    python examples/six_calls.py --dataset digits --out subnet.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nas_peft.data import load_dataset
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Fold, LocalScorer
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.searchers import Evolution, SearchTask
from search_spaces import BudgetSampler, InputError, count_params, load_space
from supernet import (
    Constant,
    OnePerImage,
    Preprocessing,
    Recipe,
    Subnet,
    Supernet,
    create_backbone,
    evaluate,
    save_subnet,
    train,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits", help="name or folder of the data set")
    parser.add_argument("--backbone", default="vit_micro_patch8_32", help="name of a timm ViT")
    parser.add_argument("--budget", type=int, default=12_000, help="most trainable parameters, without head")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of supernet training and retraining")
    parser.add_argument("--generations", type=int, default=4, help="generations of the search")
    parser.add_argument("--population", type=int, default=16, help="candidates in each generation")
    parser.add_argument("--out", type=Path, default=Path("subnet.safetensors"), help="checkpoint to write")
    args = parser.parse_args()
    recipe = Recipe(args.epochs, lr=5e-3)

    # 1, 2: a frozen backbone, and the data preprocessed for the backbone
    backbone = create_backbone(args.backbone)
    preprocessing = Preprocessing.of(backbone.model)
    data = load_dataset(args.dataset, to_tensor=preprocessing.to_tensor)

    # 3: one set of weights for every architecture, trained on architectures around the budget
    space = load_space("default", backbone.depth)
    sampler = BudgetSampler(space, backbone.shape, args.budget // 2, args.budget)
    supernet = Supernet(backbone.model, space.largest(), len(data.classes), seed=1)
    chooser = OnePerImage(sampler.sample, space.largest().kinds)
    train(supernet, data.train.images, data.train.labels, preprocessing=preprocessing, chooser=chooser,
          recipe=recipe, seed=2)  # fmt: skip

    # 4: evolution, scored with the weights that candidates inherit
    task = SearchTask(
        space=space,
        fits=lambda a: count_params(a, backbone.shape) <= args.budget,
        sampler=sampler,
        references=[a for kind, _ in space.kinds for a in space.uniform_architectures(kind)],
        population=args.population,
        generations=args.generations,
        seed=3,
    )
    searcher = Evolution(task, parents=4)
    scorer = LocalScorer([Fold(supernet.eval(), data.val)], preprocessing)
    evaluator = InheritedEvaluator(scorer, backbone.shape, len(data.classes), racing=False)
    history: list[Candidate] = []
    for generation in range(args.generations):
        proposals = searcher.ask(generation, history)
        scored = evaluator.evaluate(proposals, generation=generation, first_number=len(history))
        history += scored.candidates
    best = searcher.ranked(history)[0]

    # 5: the winner alone, trained from scratch
    network = Supernet(backbone.model, best.architecture, len(data.classes), seed=4)
    train(network, data.train.images, data.train.labels, preprocessing=preprocessing,
          chooser=Constant(best.architecture), recipe=recipe, seed=5)  # fmt: skip
    result = evaluate(network, data.val.images, data.val.labels, preprocessing=preprocessing)
    print(f"{best.architecture.describe()}: validation accuracy {result.accuracy:.1%}")

    # 6: a file that turns the backbone into a model for this data set
    metrics = {"val_accuracy": result.accuracy}
    save_subnet(Subnet(network, backbone, data.classes, preprocessing, metrics, recipe.to_dict()), args.out)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
