"""The report of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from nas_peft.report.architecture_chart import architecture_chart
from nas_peft.report.chart import Chart
from nas_peft.report.costs_table import costs_table
from nas_peft.report.data_section import data_section
from nas_peft.report.decision_section import decision_section
from nas_peft.report.inherited_chart import inherited_chart
from nas_peft.report.judged_images import JudgedImages, judged_test_images, judged_validation_images
from nas_peft.report.loss_charts import supernet_chart, trainings_chart
from nas_peft.report.options_section import environment_table, options_tables
from nas_peft.report.pictures import Picture, mistake_pictures, sample_pictures
from nas_peft.report.quality_section import quality_section
from nas_peft.report.rendering import rendered
from nas_peft.report.reported_run import ReportedRun, architecture_of
from nas_peft.report.rows_chart import rows_chart
from nas_peft.report.rows_table import modules_table, rows_table
from nas_peft.report.search_charts import front_chart, history_chart
from nas_peft.report.use_section import use_section
from nas_peft.run.progress import StageBars
from search_spaces import InputError

_NO_QUALITY = (
    "The images could not be read again (see below), and the run folder has no scores of validation images "
    "of the exported row either."
)


@dataclass(frozen=True)
class Missing:
    """A part of the report that this run cannot have, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class RunPage:
    """The page, and the parts that it lacks."""

    html: str
    missing: tuple[Missing, ...]


def run_page(run: ReportedRun, *, dataset: str | None, device: str, bars: StageBars) -> RunPage:
    """The report of ``run``.

    Its images are read from ``dataset``, by default from where the run found them; if they are gone the page
    says so. Raises `InputError` if ``dataset`` is given and cannot be read, or holds other data.
    """
    missing: list[Missing] = []
    judged, no_images = _judged(run, dataset, device, bars)
    samples: tuple[Picture, ...] = ()
    mistakes: tuple[Picture, ...] = ()
    if judged is not None and judged.items:
        seed = int(run.result.config["seed"])
        samples, mistakes = sample_pictures(judged, seed), mistake_pictures(judged)
    else:
        missing.append(Missing("Sample predictions and mistakes", no_images))
    if judged is None:
        missing.append(Missing("Classes, confusions and calibration", _NO_QUALITY))
    set_options, other_options = options_tables(run)
    html = rendered(
        "run.html.j2",
        run=run,
        title=f"{_short(run)}: {run.labels[run.selected.name]}",
        dataset=_short(run),
        decision=decision_section(run),
        rows=rows_table(run),
        modules=modules_table(run),
        comparison=rows_chart(run),
        architecture=_architecture(run, missing),
        search=_search(run, missing),
        curves=_curves(run, missing),
        costs=costs_table(run),
        quality=None if judged is None else quality_section(judged),
        samples=samples,
        mistakes=mistakes,
        has_images=bool(judged is not None and judged.items),
        data=data_section(run),
        set_options=set_options,
        other_options=other_options,
        environment=environment_table(run),
        use=use_section(run),
        missing={found.what: found.why for found in missing},
    )
    return RunPage(html, tuple(missing))


def _short(run: ReportedRun) -> str:
    spec = str(run.result.dataset["spec"])
    return PurePath(spec).name or spec


def _judged(
    run: ReportedRun, dataset: str | None, device: str, bars: StageBars
) -> tuple[JudgedImages | None, str]:
    """The judged test images, or else validation scores that were kept, and why there are no images."""
    try:
        return judged_test_images(run, dataset, device, bars), ""
    except InputError as error:
        if dataset is not None:
            raise
        reason = (
            f"The images could not be read again: {error}. With --dataset the report finds data that "
            "have moved."
        )
    return judged_validation_images(run), reason


def _architecture(run: ReportedRun, missing: list[Missing]) -> Chart | None:
    architecture = architecture_of(run.selected)
    found = None if architecture is None else architecture_chart(architecture)
    if found is None:
        why = "A module kind of the exported row is not known here: its module file is gone or has changed."
        none = "The exported row has no modules."
        missing.append(Missing("Modules by layer", why if architecture is None else none))
    return found


def _search(run: ReportedRun, missing: list[Missing]) -> list[Chart]:
    if run.search is None:
        missing.append(Missing("Search", run.no_search))
        return []
    found = inherited_chart(run, run.search)
    if found is None:
        missing.append(
            Missing("Inherited and retrained scores", "The run retrained no candidate of the search.")
        )
    return [front_chart(run, run.search), history_chart(run, run.search), *([] if found is None else [found])]


def _curves(run: ReportedRun, missing: list[Missing]) -> list[Chart]:
    supernet, trainings = supernet_chart(run), trainings_chart(run)
    if supernet is None:
        missing.append(Missing("Training of the supernet", "The run trained no supernet."))
    if trainings is None:
        missing.append(
            Missing("Separate trainings", "The run trained no model separately but linear probing.")
        )
    return [found for found in (supernet, trainings) if found is not None]
