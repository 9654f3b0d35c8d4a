"""The main job: data, backbone, supernet, search, retraining, test, export."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from nas_peft.machine.accelerator import release_memory
from nas_peft.machine.compiler import require_compiler
from nas_peft.machine.devices import resolve_devices
from nas_peft.machine.process_group import require_main_guard
from nas_peft.machine.ray_process_group import require_room
from nas_peft.machine.ray_session import LOCAL, RayOptions
from nas_peft.planning.estimate import expected_courses
from nas_peft.planning.plan import make_plan, repeated
from nas_peft.planning.table import plan_sentence
from nas_peft.protocol.comparison_stage import compare_rows
from nas_peft.protocol.rows import Row, baseline_rows, single_rows
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.noted_options import noted_options
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PLAN, PlanRecord
from nas_peft.scoring.ray_scorer import require_workers, scoring
from nas_peft.searching.candidate import Candidate
from nas_peft.searching.record_place import require_record_place
from nas_peft.settings.default_time import said_of_no_plan
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.final_supernet import inherited_starts
from nas_peft.stages.inherited import finish_without_retraining
from nas_peft.stages.latency import latency_stage
from nas_peft.stages.lora_pruning import pruned_lora
from nas_peft.stages.noah import noah_architecture, noah_inputs
from nas_peft.stages.probe import probe
from nas_peft.stages.search import open_record, search_supernet
from nas_peft.stages.supernet import train_supernets
from search_spaces import Architecture, InputError

PROTOCOL = (
    "The supernet and the compared models are trained on the training part; every choice is made on the "
    "validation part. The chosen searched subnet, the single methods and the baselines are then trained "
    "again on both, to the last epoch, and the test part is read once, by all of them."
)

SPEEDS = "speeds of this machine"
"""Stage that measures for the plan, as progress names it."""


def search(
    config: SearchConfig,
    out: Path | None = None,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    storage: str | None = None,
    study: str | None = None,
    ray_options: RayOptions | None = None,
    workers: int = 1,
    plan_of: Path | None = None,
    unplanned: Sequence[str] = (),
) -> SearchResult:
    """Search the subnet for a data set, compare it with the baselines, and write a run folder.

    The supernet and the compared trainings use the training set, and every choice is made on the validation
    set. Then the chosen subnet and the baselines are trained again on both sets, and the test set is opened
    once. An interrupted run resumes; the result of a finished run is read.

    Args:
        config: configuration of the search.
        out: the run folder; by default ``runs/DATASET-BACKBONE-HASH``, see `RunFolder.open`.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.
        bars: progress bars; none by default.
        storage: storage of the Optuna study: a URL, or a journal file; by default the run folder's journal.
        study: name of the study in ``storage``; by default that of the run folder.
        ray_options: the Ray to use, and the resources of each training.
        workers: number of processes that score candidates, each with a GPU or a share of the cores; the
            results do not depend on it.
        plan_of: another run folder, whose plan is repeated if the run has a time; by default a plan is made.
        unplanned: names of the options that a user gave. Where they are why no plan is made, the run says so.

    Raises:
        InputError: a mistake in the configuration or the options, a loss of the supernet that is not finite,
            no subnet that could be trained, or a Ray that cannot be started or reached.
    """
    require_main_guard()
    require_record_place(storage, study)
    started = time.perf_counter()
    ray_options = ray_options or RayOptions()
    noted = noted_options(device, ray_options, storage=storage, study=study, workers=workers)
    together_here = config.data_parallel == 1 or ray_options.place.address == LOCAL
    without_ray = config.no_retrain and workers == 1 and together_here
    if without_ray and ray_options != RayOptions():
        raise InputError(
            "with no_retrain and one worker nothing is done on Ray, and ray_address, cpus_per_trial or "
            "gpus_per_trial is given; leave out one or the other"
        )
    if without_ray:
        ray_options = RayOptions(LOCAL)
    devices = resolve_devices(device, ray_options)
    config = config.on(devices.workers)
    ray_options.require_possible(devices.workers)
    if config.compile:
        require_compiler()
    require_room(config.data_parallel, devices.workers, ray_options)
    require_workers(workers, devices.workers, ray_options)
    with StageBars(quiet=True) if bars is None else nullcontext(bars) as shown:
        inputs = SearchInputs.load(config, shown)
        noah_inputs(inputs)  # raises early for inputs that NOAH's search cannot use
        folder = RunFolder.open(out, config, inputs.dataset.fingerprint, noted)
        with folder.held():
            run = Run(inputs, folder, devices.here, shown, ray_options, workers, devices.workers)
            if config.chosen_time is None and (said := said_of_no_plan(unplanned)):
                shown.say(said)
            run = _planned(run, time.perf_counter() - started, plan_of)
            asked = {name: config.to_dict()[name] for name in ("time", "preset", "fixed")}
            shown.tell("run", folder=str(folder.path), config=run.inputs.config.to_dict() | asked)
            return _run(run, storage, study)


def plan(
    config: SearchConfig,
    *,
    device: str = "auto",
    bars: StageBars | None = None,
    ray_options: RayOptions | None = None,
    plan_of: Path | None = None,
) -> PlanRecord:
    """The plan that a search with a time would make now; nothing is trained for longer than it takes to time.

    With ``plan_of`` it is the plan of that run folder, if it has one. Raises `InputError` for a configuration
    without a time, and for any mistake in it.
    """
    if config.chosen_time is None:
        raise InputError("a plan is made for a time, and none is given; give --time or --preset")
    earlier = None if plan_of is None else RunFolder(plan_of).read_stage(PLAN, PlanRecord)
    started = time.perf_counter()
    ray_options = ray_options or RayOptions()
    devices = resolve_devices(device, ray_options)
    with StageBars(quiet=True) if bars is None else nullcontext(bars) as shown:
        inputs = SearchInputs.load(config.on(devices.workers), shown)
        if earlier is not None:
            return repeated(earlier, inputs)
        with shown.stage(SPEEDS):
            return make_plan(inputs, devices, ray_options, before=time.perf_counter() - started)


def _planned(run: Run[SearchInputs], before: float, plan_of: Path | None) -> Run[SearchInputs]:
    """The run by its plan; ``run`` without a time.

    A recorded plan holds. Else that of the run folder ``plan_of`` is repeated, or one is made, and recorded.
    A plan depends on how fast the machine was, so a run is repeated by its plan and not by its time.
    """
    config = run.inputs.config
    if config.chosen_time is None:
        return run
    recorded = run.folder.read_stage(PLAN, PlanRecord)
    if recorded is None:
        try:
            earlier = None if plan_of is None else RunFolder(plan_of).read_stage(PLAN, PlanRecord)
            if earlier is None:
                with run.bars.stage(SPEEDS):
                    recorded = make_plan(run.inputs, run.devices, run.ray, before=before)
            else:
                recorded = repeated(earlier, run.inputs)
                run.bars.say(f"repeats the plan of '{plan_of}'; --time plans anew")
        except InputError:
            run.folder.discard()
            raise
        run.folder.write_stage(PLAN, recorded)
        run.bars.say(plan_sentence(recorded))
    inputs = run.inputs.with_config(config.planned(recorded.set_options)).with_larger_images(run.bars)
    return replace(run, inputs=inputs, plan=recorded)


def _run(run: Run[SearchInputs], storage: str | None, study: str | None) -> SearchResult:
    run.inputs.require_recorded(run.folder)
    if run.folder.results.exists():
        return SearchResult.read(run.folder.results)
    record = open_record(run, storage, study)
    run.bars.expect(expected_courses(run.inputs, run.plan), measured=run.plan is not None)
    try:
        probed = probe(run)
        run.costs.add("linear probe", probed.record)
        if run.inputs.config.front_cost == "latency":
            latency = latency_stage(run)
            run.costs.add("latency", latency)
            run = replace(run, inputs=replace(run.inputs, latency=latency.latency_table()))
        supernets = train_supernets(run, probed.features)
        run.costs.add("supernet", supernets.record)
    except InputError:
        run.folder.discard()
        raise
    shifted = supernets.shifted(run.inputs.config.seed) if run.inputs.config.robust else []
    with scoring(run, [*supernets.folds, *shifted]) as scorer:
        found = search_supernet(run, scorer, record, len(shifted))
    run.costs.add("search", found.record)
    inputs = run.inputs
    ranked = inputs.ranked(found.candidates)
    if inputs.config.no_retrain:
        return finish_without_retraining(run, probed, supernets.folds, ranked)
    best = retrained(inputs, ranked)
    inherited = InheritedStarts()
    if "inherited" in inputs.config.start:
        subnets = {row_name(c): c.architecture for c in best}
        inherited = inherited_starts(run, probed.features, subnets, supernets.folds, supernets.left_out)
    del supernets, shifted, scorer  # frees the GPU for the trainings
    release_memory(run.device)
    noah = noah_architecture(run, probed.features)
    lora = pruned_lora(run, probed.features)
    rows = compared_rows(inputs, best, noah, lora.architecture)
    return compare_rows(
        run,
        rows,
        probe=probed.recipe,
        features=probed.features,
        protocol=PROTOCOL,
        inherited=inherited.beside(lora.inherited),
    )


def retrained(inputs: SearchInputs, ranked: Sequence[Candidate]) -> list[Candidate]:
    """The candidates to retrain: the first of ``ranked``.

    Those that equal a single method are left out if they would be trained as it is, from new modules.
    """
    from_new = inputs.config.start == ("pretrained",)
    singles = inputs.single_methods().values() if from_new else ()
    return [c for c in ranked if c.architecture not in singles][: inputs.config.retrain]


def row_name(candidate: Candidate) -> str:
    """Name of a candidate's row."""
    return f"candidate-{candidate.number}"


def compared_rows(
    inputs: SearchInputs,
    best: Sequence[Candidate],
    noah: Architecture | None = None,
    pruned: Architecture | None = None,
) -> list[Row]:
    """The rows to compare: the candidates to retrain, the single methods and the baselines.

    ``noah`` and ``pruned`` are those of `baseline_rows`.
    """
    return [
        *(Row(row_name(c), "searched", "subnet", c.architecture) for c in best),
        *single_rows(inputs.single_methods()),
        *baseline_rows(inputs.config, inputs.backbone.depth, noah, pruned),
    ]
