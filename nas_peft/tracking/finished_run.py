"""What a finished run has in its folder, told as if it happened now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import Display, ScoredModel
from nas_peft.run.results import RowResult, SearchResult
from supernet.recipe import Recipe


def retell(folder: Path, display: Display) -> None:
    """Tell ``display`` the losses of supernets, the candidates and the trainings of a finished run.

    Raises `InputError` for files that are missing or damaged.
    """
    result = SearchResult.of_run(folder)
    for name, losses in _supernets(result):
        display.told("supernet", {"name": name, "train_losses": losses, "found": True})
    if "searcher" in result.config:
        search = FinishedSearch.read(folder)
        limit = int(result.budget["max_params"])
        head = search.stage.head_params if search.config.count_head else 0
        for candidate in search.candidates:
            fields = {
                name: getattr(candidate, name) for name in ("generation", "params", "images", "dropped")
            }
            display.scored(
                ScoredModel(
                    kind="candidate",
                    name=f"candidate-{candidate.number}",
                    label=f"candidate {candidate.number}",
                    accuracy=candidate.accuracy,
                    loss=candidate.loss,
                    eligible=not candidate.dropped and candidate.params + head <= limit,
                    found=True,
                    fields=fields,
                ),
                "",
            )
    for row in result.rows:
        for training in _trainings(row):
            display.scored(training, "")


def _supernets(result: SearchResult) -> Iterator[tuple[str, list[float]]]:
    stage = result.stages.get("supernet")
    kept = {} if stage is None else stage.model_extra or {}
    several = kept.get("supernets") or ([kept] if kept.get("losses") else [])
    for number, one in enumerate(several, 1):
        yield ("supernet" if len(several) == 1 else f"supernet-{number}"), list(one["losses"])


def _trainings(row: RowResult) -> Iterator[ScoredModel]:
    for run in row.runs:
        recipe = Recipe(**run.recipe) if run.recipe else None
        variants = "".join(f", {name}" for name in recipe.variants) if recipe else ""
        epochs = recipe.epochs if recipe else len(run.losses)
        yield ScoredModel(
            kind="training",
            name=row.name,
            label=row.label,
            accuracy=run.val_accuracy,
            loss=run.val_loss,
            recipe=f"{epochs} epoch{'s' if epochs > 1 else ''}, rate {run.lr:g}{variants}",
            found=True,
            fields={"on": run.on, "seed": run.seed, "train_losses": run.losses},
        )
