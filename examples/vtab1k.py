"""VTAB-1k: a search on each of its 19 tasks, and one table beside the published numbers.

Needs a GPU, and the data: a folder with one folder for each task, with images/, train800.txt, val200.txt,
train800val200.txt and test.txt, as NOAH's script and other downloads arrange them::

    python examples/vtab1k.py --data vtab-1k/ --out runs/vtab1k

The settings follow NOAH (arXiv 2206.04673): ViT-B/16 with the original weights pretrained on ImageNet-21k,
at most 0.64 M parameters, and 100 epochs at 1e-3 for every separate training, here with three seeds.
Accuracies are those of the last epoch, on a test set by which nothing was chosen; the accuracies that NOAH
published for itself, LoRA and adapters are those of the epoch that was best on the test set. The same command
resumes a stopped run and does not repeat finished tasks. The measurements go to ``vtab1k.json`` in the output
folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import nas_peft
from nas_peft.data.task_folder import is_task_folder
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run_folder import RunFolder
from search_spaces import InputError
from search_spaces.errors import unknown_name
from supernet import write_atomically

PUBLISHED: dict[str, Any] = json.loads(
    Path(__file__).with_name("vtab1k_published.json").read_text(encoding="utf-8")
)
GROUPS: dict[str, list[str]] = PUBLISHED["groups"]
"""The tasks of each group, under the names of NOAH's folders."""

SPELLINGS = {
    "cifar": ("cifar100", "cifar(num_classes=100)"),
    "oxford_flowers102": ("flowers102",),
    "oxford_iiit_pet": ("pet", "pets"),
    "patch_camelyon": ("camelyon",),
    "diabetic_retinopathy": ("retinopathy", 'diabetic_retinopathy(config="btgraham-300")'),
    "clevr_count": ('clevr(task="count_all")',),
    "clevr_dist": ("clevr_distance", 'clevr(task="closest_object_distance")'),
    "kitti": ('kitti(task="closest_vehicle_distance")',),
    "dsprites_loc": (
        "dsprites_location",
        "dsprites_position",
        'dsprites(predicted_attribute="label_x_position",num_classes=16)',
    ),
    "dsprites_ori": (
        "dsprites_orientation",
        'dsprites(predicted_attribute="label_orientation",num_classes=16)',
    ),
    "smallnorb_azi": ("smallnorb_azimuth", 'smallnorb(predicted_attribute="label_azimuth")'),
    "smallnorb_ele": ("smallnorb_elevation", 'smallnorb(predicted_attribute="label_elevation")'),
}
"""Other names of task folders: those of VTAB's own code (https://github.com/google-research/task_adaptation),
also with the prefix ``vtab-``, and plain ones."""

NOAH_MANNER: dict[str, Any] = {
    "backbone": "vit_base_patch16_224.orig_in21k",
    "space": "noah-vtab",
    "budget": "0.64M",
    "seeds": 3,
    "supernet_epochs": "100",
    "supernet_lr": 5e-4,
    "epochs": 100,
    "lr": 1e-3,
    "generations": 16,
    "population": 50,
    "retrain": 3,
    "linear_epochs": 100,
    "full_lr": 3e-4,
    "batch_size": 64,
    "precision": "fp32",
}
"""Options that are passed on to `SearchConfig`, with this script's defaults."""

OURS = {
    "searched": "searched",
    "adapter_dim": "Adapter",
    "lora_rank": "LoRA",
    "prompt_tokens": "VPT",
    "linear": "Linear",
    "full": "Full",
}
"""Columns of the table by row of a result; a further column ``chosen`` has the row that validation chose."""

Columns = dict[str, dict[str, float]]
"""Accuracy in per cent by column, then by task."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, 2 for an `InputError`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with one folder for each task")
    add("--out", type=Path, default=Path("runs/vtab1k"), help="folder for the run folders (%(default)s)")
    add("--tasks", help="tasks to run, NAME,NAME,...; by default all tasks in --data")
    add("--device", default="auto", help="device to compute on: auto, cpu or cuda (%(default)s)")
    add("--backbone-weights", type=Path, help="weights file of the backbone, instead of a download")
    for name, default in NOAH_MANNER.items():
        option = f"--{name.replace('_', '-')}"
        add(option, type=type(default), default=default, help=f"{option} of nas-peft search (%(default)s)")
    args = parser.parse_args(argv)
    options = {name: getattr(args, name) for name in (*NOAH_MANNER, "backbone_weights")}
    try:
        folders = task_folders(args.data)
        asked = args.tasks.split(",") if args.tasks else None
        tasks, missing = chosen_tasks(folders, asked, args.data)
        configs = {
            task: nas_peft.SearchConfig.of(dataset=str(folders[task].resolve()), **options) for task in tasks
        }
        results: dict[str, SearchResult] = {}
        for number, (task, config) in enumerate(configs.items(), start=1):
            print(f"{task} ({number} of {len(tasks)})", file=sys.stderr, flush=True)
            results[task] = finished_or_run(config, args.out / task, args.device)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = Report.of(results, missing)
    write_atomically(args.out / "vtab1k.json", (json.dumps(report.to_dict(), indent=1) + "\n").encode())
    print(report.text())
    return 0


def task_folders(data: Path) -> dict[str, Path]:
    """Task folders in ``data``, by NOAH's names. Raises `InputError` for none, and for a task found twice."""
    names = {task: task for tasks in GROUPS.values() for task in tasks}
    names |= {_plain(other): task for task, others in SPELLINGS.items() for other in others}
    found: dict[str, Path] = {}
    if not data.is_dir():
        raise InputError(f"there is no folder '{data}'; give the folder of the VTAB-1k tasks as --data")
    for folder in sorted(data.iterdir()):
        task = names.get(_plain(folder.name))
        if task is None or not folder.is_dir() or not is_task_folder(folder):
            continue
        if task in found:
            raise InputError(
                f"'{found[task]}' and '{folder}' are both the task {task}; take one of them out of '{data}'"
            )
        found[task] = folder
    if not found:
        raise InputError(
            f"folder '{data}' has no task of VTAB-1k; a task is a folder such as 'caltech101' with images/, "
            "train800.txt, val200.txt, train800val200.txt and test.txt"
        )
    return found


def _plain(name: str) -> str:
    return name.lower().removeprefix("vtab-").replace(" ", "").replace("'", '"').replace("-", "_")


def chosen_tasks(
    folders: Mapping[str, Path], asked: Sequence[str] | None, data: Path
) -> tuple[list[str], list[str]]:
    """The tasks to run, in the order of the published tables, and the rest of the 19.

    Raises `InputError` for an unknown task and for a task whose folder is missing.
    """
    order = [task for tasks in GROUPS.values() for task in tasks]
    for name in asked or ():
        if name not in order:
            raise unknown_name("task", name, order)
        if name not in folders:
            raise InputError(
                f"folder '{data}' has no task {name}, it has: {', '.join(t for t in order if t in folders)}; "
                "add its folder or leave the task out"
            )
    tasks = [task for task in order if task in (folders if asked is None else asked)]
    return tasks, [task for task in order if task not in tasks]


def finished_or_run(config: nas_peft.SearchConfig, out: Path, device: str) -> SearchResult:
    """Result of a task: read, without loading images, if the task is finished; otherwise the task is run."""
    if (out / "results.json").is_file():
        folder = RunFolder.open(out, config)  # refuses a run of another configuration
        return SearchResult.read(folder.results)
    return nas_peft.search(config, out, device=device)


@dataclass(frozen=True)
class Report:
    """Our accuracies and the published ones in per cent, on the tasks that were run.

    ``chosen`` has, for each task, the label of the row that validation chose; ``missing`` lists the tasks of
    the 19 that were not run.
    """

    ours: Columns
    published: Columns
    chosen: dict[str, str]
    missing: list[str]

    @classmethod
    def of(cls, results: Mapping[str, SearchResult], missing: Sequence[str]) -> Report:
        """Report from the results of the tasks; accuracies are means over seeds."""
        ours: Columns = {"chosen": {task: _percent(result.selected) for task, result in results.items()}}
        for task, result in results.items():
            for row in result.rows:
                # The row of a single method is called KIND-SIZE.
                name = row.name.rpartition("-")[0] if row.group == "single" else row.name
                column = OURS.get("searched" if row.group == "searched" else name)
                if column and row.tested:
                    ours.setdefault(column, {})[task] = _percent(row)
        ours = {name: ours[name] for name in ("chosen", *OURS.values()) if name in ours}
        published = {
            name: {task: method["accuracy"][task] for task in results}
            for name, method in PUBLISHED["methods"].items()
        }
        chosen = {task: result.selected.label for task, result in results.items()}
        return cls(ours, published, chosen, list(missing))

    def counts(self, rival: Mapping[str, float]) -> tuple[int, int, int]:
        """Numbers of tasks on which ``chosen`` wins, ties and loses against ``rival``, rounded to 0.1."""
        differences = [
            round(self.ours["chosen"][task], 1) - round(rival[task], 1)
            for task in rival
            if task in self.ours["chosen"]
        ]
        wins = sum(difference > 0.05 for difference in differences)
        losses = sum(difference < -0.05 for difference in differences)
        return wins, len(differences) - wins - losses, losses

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: the columns with their means, and wins, ties and losses of ``chosen``."""
        return {
            "tasks": list(self.chosen),
            "missing": self.missing,
            "chosen": self.chosen,
            "ours": {name: self._with_means(column) for name, column in self.ours.items()},
            "published": {name: self._with_means(column) for name, column in self.published.items()},
            "wins_ties_losses": {
                kind: {name: self.counts(column) for name, column in columns.items() if name != "chosen"}
                for kind, columns in (("ours", self.ours), ("published", self.published))
            },
        }

    def _with_means(self, column: Mapping[str, float]) -> dict[str, Any]:
        tasks = list(self.chosen)
        means = {"mean_of_tasks": _mean(column, tasks), "mean_of_groups": _group_mean(column, tasks)}
        return {"tasks": dict(column), **means}

    def text(self) -> str:
        """Table with a line for each task, the means, and wins, ties and losses of ``chosen``."""
        columns = [*self.ours.values(), *self.published.values()]
        titles = [*self.ours, *self.published]
        ours = 9 * len(self.ours)
        lines = [
            " " * 22 + "ours".center(ours) + "published".center(9 * len(self.published)),
            _line("test %", [title.rjust(9) for title in titles]) + "  chosen by validation",
        ]
        for group, tasks in GROUPS.items():
            there = [task for task in tasks if task in self.chosen]
            for task in there:
                cells = [_cell(column.get(task)) for column in columns]
                lines.append(f"{_line(task, cells)}  {self.chosen[task]}")
            if there:
                label = f"{group}, {len(there)} of {len(tasks)}"
                lines.append(_line(label, [_cell(_mean(column, there)) for column in columns]))
        for label, mean in (("mean of tasks", _mean), ("mean of groups", _group_mean)):
            lines.append(_line(label, [_cell(mean(column, list(self.chosen))) for column in columns]))
        versus = [
            "" if title == "chosen" else "/".join(map(str, self.counts(column)))
            for title, column in zip(titles, columns, strict=True)
        ]
        lines.append(_line("wins/ties/losses", [cell.rjust(9) for cell in versus]))
        if self.missing:
            lines.append(
                f"Not run: {', '.join(self.missing)}. All means, published ones too, are over the "
                f"{len(self.chosen)} tasks shown, not of VTAB-1k."
            )
        return "\n".join(lines)


def _percent(row: RowResult) -> float:
    return 100 * row.mean("test_accuracy")


def _line(label: str, cells: Sequence[str]) -> str:
    return label.ljust(22) + "".join(cells)


def _cell(value: float | None) -> str:
    return ("–" if value is None else f"{value:.1f}").rjust(9)


def _mean(column: Mapping[str, float], tasks: Sequence[str]) -> float | None:
    """Mean over ``tasks``; ``None`` if the column lacks one, as means over different tasks do not compare."""
    return fmean(column[task] for task in tasks) if all(task in column for task in tasks) else None


def _group_mean(column: Mapping[str, float], tasks: Sequence[str]) -> float | None:
    """Mean of the means of the groups of ``tasks``; as a rule two points above the mean of the tasks."""
    groups = [[task for task in members if task in tasks] for members in GROUPS.values()]
    means = [_mean(column, group) for group in groups if group]
    return None if None in means else fmean(mean for mean in means if mean is not None)


if __name__ == "__main__":
    sys.exit(main())
