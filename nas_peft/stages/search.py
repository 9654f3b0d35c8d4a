"""The stage that searches the supernet."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from nas_peft.machine.peak_memory import largest
from nas_peft.run.progress import ScoredModel
from nas_peft.run.run import Run
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import RecordPlace, SearchStageRecord
from nas_peft.scoring.inherited import InheritedEvaluator
from nas_peft.scoring.scorer import Scorer
from nas_peft.searching.candidate import Candidate, by_params
from nas_peft.searching.generation import Scored, read_generation, write_generation
from nas_peft.searching.pareto import pareto_front
from nas_peft.searching.racing import Losses
from nas_peft.searching.record import SearchRecord
from nas_peft.searching.record_place import require_record_place
from nas_peft.searching.searchers import describe_searcher
from nas_peft.searching.study_storage import StudyStorage
from search_spaces import InputError

SEARCH_STUDY = "search"
"""The study's name in the run folder's own journal."""


@dataclass(frozen=True)
class Searched:
    """All evaluated candidates of a search, and their cost."""

    candidates: list[Candidate]
    record: SearchStageRecord


def search_supernet(
    run: Run[SearchInputs], scorer: Scorer, record: SearchRecord, shifted_folds: int = 0
) -> Searched:
    """Search the supernet: propose, score and record one generation after another.

    Each generation is proposed from the generations before and scored as a whole, so a resumed search makes
    the same proposals and finds the same losses as an uninterrupted one. A generation is written first to a
    file of its own, with its losses image by image, then to the Optuna record. The last ``shifted_folds`` of
    the scorer's folds hold shifted images.
    """
    inputs, config, folder = run.inputs, run.inputs.config, run.folder
    searcher = inputs.searcher()
    evaluator = InheritedEvaluator(
        scorer,
        shape=inputs.backbone.shape,
        classes=len(inputs.dataset.classes),
        cost=by_params if config.robust else inputs.cost,
        racing=inputs.races,
        seed=config.seed,
        latency=inputs.latency,
        shifted_folds=shifted_folds,
    )
    history: list[Candidate] = []
    losses: list[Losses] = []  # of each candidate of the history
    generations: list[Scored] = []
    with run.bars.counted("search (candidates)", config.generations * config.population) as bar:
        for generation in range(config.generations):
            proposals = searcher.ask(generation, history)
            if not proposals:
                break  # every allowed architecture has been proposed
            file = folder.generation(generation)
            scored = read_generation(file)
            known = scored is not None
            if scored is None:
                front = pareto_front(history, inputs.cost)
                scored = evaluator.evaluate(
                    proposals,
                    generation=generation,
                    first_number=len(history),
                    incumbents=[(c, losses[c.number]) for c in front],
                    on_candidate=bar,
                )
                write_generation(file, scored)
            record.add_generation(scored.candidates)
            generations.append(scored)
            history += scored.candidates
            losses += list(scored.losses)
            if known:
                run.bars.find(len(scored.candidates))
            bar.move_to(len(history))
            for candidate in scored.candidates:
                run.bars.scored(_scored(candidate, inputs, known))
        bar.end()
    if not any(isfinite(candidate.loss) for candidate in history):
        raise InputError(
            "no candidate has a finite loss with the supernet's weights; give a lower --supernet-lr and "
            "another --out, or check the images for corrupt values"
        )
    stage = folder.read_stage("search", SearchStageRecord)
    if stage is None:
        stage = SearchStageRecord(
            seconds=sum(scored.seconds for scored in generations),
            searcher=describe_searcher(config.searcher, searcher),
            candidates=len(history),
            dropped=sum(c.dropped for c in history),
            images=sum(c.images for c in history),
            images_without_racing=len(history) * evaluator.images,
            image_passes_forward=sum(scored.image_passes for scored in generations),
            peak_memory=largest(scored.peak_memory for scored in generations),
            head_params=inputs.head_params,
            backbone_params=inputs.backbone.params,
        )
        folder.write_stage("search", stage)
    return Searched(history, stage)


def _scored(candidate: Candidate, inputs: SearchInputs, known: bool) -> ScoredModel:
    """The report of a scored candidate; one that was eliminated early or is too large cannot be the best."""
    fields = {name: getattr(candidate, name) for name in ("generation", "params", "images", "dropped")}
    return ScoredModel(
        kind="candidate",
        name=f"candidate-{candidate.number}",
        label=f"candidate {candidate.number}",
        accuracy=candidate.accuracy,
        loss=candidate.loss,
        eligible=not candidate.dropped and inputs.fits(candidate.architecture),
        found=known,
        fields={**fields, "architecture": candidate.architecture.to_dict()},
    )


def open_record(run: Run[SearchInputs], storage: str | None = None, study: str | None = None) -> SearchRecord:
    """The Optuna study of a run: in the journal of its folder, or as named by ``storage`` and ``study``.

    Raises `InputError` if a resumed run recorded its search elsewhere, and the errors of `SearchRecord.open`.
    """
    require_record_place(storage, study)
    inputs, folder = run.inputs, run.folder
    place = StudyStorage(storage or str(folder.journal), notify=run.bars.say)
    name = study or (folder.path.resolve().name if storage else SEARCH_STUDY)
    now = RecordPlace(storage=place.name if storage else None, study=name)
    recorded = folder.read_stage("record", RecordPlace)
    if recorded is not None and recorded != now:
        where = f"--storage {recorded.storage} --study {recorded.study}"
        raise InputError(
            f"the search of '{folder.path}' is recorded in "
            f"{recorded.storage or 'its own folder'}; to go on, "
            + (f"give {where}" if recorded.storage else "leave --storage out")
        )
    config = inputs.config
    identity = {
        "searcher": describe_searcher(config.searcher, inputs.searcher()),
        "data": inputs.dataset.fingerprint,
        "backbone": inputs.backbone_record(),
        "config": {k: v for k, v in config.to_dict().items() if k != "dataset"},
    }
    try:
        record = SearchRecord.open(place, name, inputs.space, cost=config.front_field, identity=identity)
    except InputError as error:
        raise InputError(f"{error}{folder.of_another_version()}") from error
    if recorded is None:
        folder.write_stage("record", now)
    return record
