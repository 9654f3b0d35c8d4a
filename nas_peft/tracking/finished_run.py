"""What a finished run has in its folder, told as if it happened now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import read_json
from nas_peft.run.progress import Display, ScoredModel
from nas_peft.run.results import SearchResult
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
    for training in _trainings(folder, {row.name: row.label for row in result.rows}):
        display.scored(training, "")


def _supernets(result: SearchResult) -> Iterator[tuple[str, list[float]]]:
    stage = result.stages.get("supernet")
    kept = {} if stage is None else stage.model_extra or {}
    several = kept.get("supernets") or ([kept] if kept.get("losses") else [])
    for number, one in enumerate(several, 1):
        yield ("supernet" if len(several) == 1 else f"supernet-{number}"), list(one["losses"])


def _trainings(folder: Path, labels: Mapping[str, str]) -> Iterator[ScoredModel]:
    """The trainings of the rows with these ``labels`` by name; those of an audit are none of the run's."""
    for file in sorted((folder / "trainings").glob("*.json")):
        record = read_json(file) or {}
        name, curve, val = str(record.get("name")), record.get("curve") or {}, record.get("val") or {}
        if name not in labels:
            continue
        recipe = Recipe(**record["recipe"])
        variants = "".join(f", {variant}" for variant in recipe.variants)
        yield ScoredModel(
            kind="training",
            name=name,
            label=labels[name],
            accuracy=val.get("accuracy"),
            loss=val.get("loss"),
            recipe=f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}, rate {recipe.lr:g}{variants}",
            found=True,
            fields={
                "key": file.name.removesuffix(".json"),
                "on": record["on"],
                "seed": record["seed"],
                "train_losses": curve.get("losses", []),
            },
        )
