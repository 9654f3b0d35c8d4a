"""A run on the dashboard: its trials as they come, and once it has ended its decision, notes and pictures."""

from __future__ import annotations

from pathlib import Path

from nas_peft.dashboard.notes import retrained, study_note, trial_note
from nas_peft.dashboard.pictures import front_picture, losses_picture
from nas_peft.dashboard.recorded_study import RecordedStudy
from nas_peft.dashboard.shown_study import ShownStudy
from nas_peft.report.reported_run import ReportedRun
from nas_peft.run.finished_search import recorded_options


class ShownRun:
    """The run in folder ``run``, shown by ``study``; nothing is written to the run.

    Args:
        run: a run folder.
        scratch: an existing empty folder for copies and pictures.
        storage: see `RecordedStudy.of_run`, whose errors are raised.
    """

    def __init__(self, run: Path, scratch: Path, storage: str | None = None) -> None:
        self._run, self._scratch = run, scratch
        self._recorded = RecordedStudy.of_run(run, scratch, storage)
        attributes, options = self._recorded.attributes, recorded_options(run)
        artifacts = scratch / "artifacts"
        artifacts.mkdir()
        cost, metric = str(attributes.get("cost", "params")), options.get("metric", "accuracy")
        self.study = ShownStudy(run.resolve().name, cost, artifacts, metric)
        backbone, searcher = attributes.get("backbone", {}), attributes.get("searcher", {})
        self.study.describe(
            {
                "data set": str(options["dataset"]),
                "backbone": str(backbone.get("name", options["backbone"])),
                "search space": str(attributes.get("space", {}).get("name", "")),
                "searcher": str(searcher.get("name", "")),
                "seed": str(options["seed"]),
            }
        )
        self.ended = False

    def update(self) -> None:
        """Show what the run has recorded since the last time."""
        self.study.add(self._recorded.trials())
        if not self.ended and (self._run / "results.json").is_file():
            self._show_end()
            self.ended = True

    def _show_end(self) -> None:
        read = ReportedRun.read(self._run)
        audit = [file for file in [self._run / "audit.svg"] if file.is_file()]
        rows = {number: (row, self.study.trial(number)) for number, row in retrained(read.result).items()}
        for number, (row, trial) in rows.items():
            if trial is None:
                continue
            drawn = [losses_picture(row, self._folder(row.name))]
            if read.search is not None:
                candidate = read.search.numbered(number)
                drawn.insert(0, front_picture(read.search, self._folder(row.name), candidate))
            files = [file for file in drawn if file is not None] + audit
            pictures = {file.stem: self.study.attach(file, trial) for file in files}
            if row.selected and (subnet := self._run / "subnet.safetensors").is_file():
                self.study.attach(subnet, trial)
            self.study.note(trial_note(row, pictures, read.metric), trial)
        pictures = {file.stem: self.study.attach(file) for file in self._of_the_run(read) + audit}
        if (report := self._run / "report.html").is_file():
            self.study.attach(report)
        self.study.note(study_note(read.result, pictures))

    def _of_the_run(self, read: ReportedRun) -> list[Path]:
        """The front with the exported candidate; none for a run whose exported row is no candidate."""
        exported = read.search.exported if read.search is not None else None
        if read.search is None or exported is None or exported.candidate is None:
            return []
        return [front_picture(read.search, self._folder("run"), exported.candidate)]

    def _folder(self, name: str) -> Path:
        folder = self._scratch / "pictures" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
