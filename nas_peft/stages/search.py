"""The stage that searches the supernet."""

from __future__ import annotations

from typing import Any

from nas_peft.machine.peak_memory import largest
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Scorer
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.generation import read_generation, write_generation
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.racing import Losses
from nas_peft.searching.record import SearchRecord
from nas_peft.searching.searchers import describe_searcher
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import InputError

SEARCH_STUDY = "search"
"""The study's name in the run folder's own journal."""


def search_supernet(
    inputs: SearchInputs, scorer: Scorer, folder: RunFolder, bars: StageBars, record: SearchRecord
) -> tuple[list[Candidate], dict[str, Any]]:
    """All evaluated candidates, and the stage's record.

    Each generation is proposed from the ones before it and scored as a whole, so a search that was stopped
    makes the proposals that it would have made without the stop, and finds the same losses. A generation is
    first written to a file of its own, with its losses image by image, then to the Optuna record.
    """
    config = inputs.config
    searcher = inputs.searcher()
    described = describe_searcher(config.searcher, searcher)
    evaluator = InheritedEvaluator(
        scorer,
        shape=inputs.backbone.shape,
        classes=len(inputs.dataset.classes),
        cost=inputs.cost,
        racing=config.racing,
        seed=config.seed,
        latency=inputs.latency,
    )
    history: list[Candidate] = []
    losses: list[Losses] = []  # of each candidate of the history
    peaks: list[int | None] = []  # of each generation
    total, seconds, passes = config.generations * config.population, 0.0, 0.0
    with bars.stage("search (candidates)") as advance:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            advance(done, total)

        advance(done, total)
        for generation in range(config.generations):
            proposals = searcher.ask(generation, history)
            if not proposals:
                break  # every architecture that may be proposed has been
            file = folder.generation(generation)
            scored = read_generation(file)
            if scored is None:
                front = pareto_front(history, inputs.cost)
                scored = evaluator.evaluate(
                    proposals,
                    generation=generation,
                    first_number=len(history),
                    incumbents=[(c, losses[c.number]) for c in front],
                    on_candidate=count,
                )
                write_generation(file, scored)
            record.add_generation(scored.candidates)
            history += scored.candidates
            losses += list(scored.losses)
            passes += scored.image_passes
            seconds += scored.seconds
            peaks.append(scored.peak_memory)
            done = len(history)
            advance(done, total)
        advance(len(history), len(history))
    stage = folder.read_stage("search")
    if stage is None:
        stage = {
            "seconds": seconds,
            "searcher": described,
            "candidates": len(history),
            "dropped": sum(c.dropped for c in history),
            "images": sum(c.images for c in history),
            "images_without_racing": len(history) * evaluator.images,
            "image_passes_forward": passes,
            "peak_memory": largest(peaks),
            "head_params": inputs.head_params,
            "backbone_params": inputs.backbone.params,
        }
        folder.write_stage("search", stage)
    return history, stage


def open_record(
    inputs: SearchInputs, folder: RunFolder, bars: StageBars, storage: str | None, study: str | None
) -> SearchRecord:
    """The Optuna study of a run: the journal in its folder, or what ``storage`` and ``study`` name.

    Raises `InputError` if a resumed run recorded its search elsewhere, and what `SearchRecord.open` raises.
    """
    if study and not storage:
        raise InputError("study names a study in --storage, which is not given; give both")
    place = StudyStorage(storage or str(folder.journal), notify=bars.say)
    name = study or (folder.path.resolve().name if storage else SEARCH_STUDY)
    now = {"storage": place.name if storage else None, "study": name}
    recorded = folder.read_stage("record")
    if recorded is not None and recorded != now:
        where = f"--storage {recorded['storage']} --study {recorded['study']}"
        raise InputError(
            f"the search of '{folder.path}' is recorded in "
            f"{recorded['storage'] or 'its own folder'}; to go on, "
            + (f"give {where}" if recorded["storage"] else "leave --storage out")
        )
    config = inputs.config
    identity = {
        "searcher": describe_searcher(config.searcher, inputs.searcher()),
        "data": inputs.dataset.fingerprint,
        "backbone": inputs.backbone_record(),
        "config": {k: v for k, v in config.to_dict().items() if k != "dataset"},
    }
    record = SearchRecord.open(place, name, inputs.space, cost=config.front_cost, identity=identity)
    if recorded is None:
        folder.write_stage("record", now)
    return record
