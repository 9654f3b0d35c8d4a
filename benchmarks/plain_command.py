"""The plain command with a time alone: what it exports on each task, beside everything it compared with.

    python -m benchmarks.plain_command --task digits --time 4m --seeds 3

Each task and seed is a run of `nas_peft.search` with nothing but ``time`` and ``seed`` given, in a folder of
its own under ``--runs``. Runs that have ended are read, and an interrupted one resumes. The test set of each
is opened by the run itself, once, after its choice. Results go to ``benchmarks/results/plain_command.json``,
with a line for each run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.keys import task_name
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.standard_error import mean_and_error
from nas_peft import SearchConfig, SearchResult, search
from nas_peft.protocol.cost_ledger import planned_seconds, seconds_taken, stage_costs
from nas_peft.run.progress import StageBars

OUT = RESULTS / "plain_command.json"
AFTER_CHOICE = ("final supernet", "final training", "final mean", "final averaging", "test")
"""Stages whose image passes are not counted: rivals of a run have as many as it took to choose."""

PORTFOLIO = "no supernet"
"""Label of the single method that a run would have chosen without a supernet."""

CHOSEN = "chosen training"
"""Label of the row that was decided for, where the exported row may be a mean of several trainings."""

Line = dict[str, Any]


def run(argv: Sequence[str]) -> None:
    """Run what is missing, then write and print the report. Raises `InputError`."""
    parser = StudyParser("plain_command", "Measure what the plain command exports, with a time alone.")
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--time", action="append", help="time of each run, as in nas-peft search; repeat for more (auto)")
    add("--seeds", type=whole_number, default=3, help="runs of each task and time (%(default)s)")
    add("--runs", type=Path, default=Path("runs/plain_command"), help="folder of the runs (%(default)s)")
    add("--device", default="auto", help="device of all runs: auto, cpu or cuda (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file of the report")
    args = parser.parse_args(argv)
    lines = []
    with StageBars() as bars:
        for time in args.time or ["auto"]:
            for task in args.task or ["digits"]:
                for seed in range(args.seeds):
                    folder = args.runs / f"{task_name(task)}-{time}-seed{seed}"
                    config = SearchConfig.of(dataset=task, time=time, seed=seed)
                    lines.append(line_of(task, search(config, folder, device=args.device, bars=bars)))
                    print(sentence(lines[-1]), file=sys.stderr, flush=True)
    args.workers = 1
    args.device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    report = {**environment(args), "lines": lines, "summary": summary(lines)}
    write_result(args.out, report, indent=1)
    print("\n".join(table(report["summary"])))


def line_of(task: str, result: SearchResult) -> Line:
    """One run: its plan, time and image passes, the exported row, and the scores of all tested rows.

    ``chosen`` is the row that was decided for, a single training where the exported row is a mean of several.
    ``portfolio`` is the row that would have been chosen without a supernet: the best single method.
    """
    assert result.plan is not None  # every run of this study has a time
    portfolio = result.decided.name
    if result.decided.group != "single":
        portfolio = result.decision.roles.get("single", "") if result.decision else ""
    return {
        "task": task_name(task),
        "time": result.plan.time,
        "seed": result.config["seed"],
        "level": result.plan.level,
        "planned_seconds": round(planned_seconds(result), 1),
        "seconds": round(seconds_taken(result), 1),
        "passes": round(sum(c.passes for c in stage_costs(result) if c.name not in AFTER_CHOICE)),
        "budget": result.config["budget"],
        "exported": result.selected.name,
        "chosen": result.decided.name,
        "portfolio": portfolio,
        "decided_by": result.decision.by if result.decision else None,
        "rows": {
            row.name: {
                "label": row.label,
                "group": row.group,
                "mean": row.averaging is not None,
                "params": row.module_params,
                "recipe": row.recipe,
                "val": row.mean("val_accuracy"),
                "test": row.mean("test_accuracy"),
            }
            for row in result.rows
            if row.tested
        },
    }


def sentence(line: Line) -> str:
    """A run in one line."""
    exported = line["rows"][line["exported"]]
    return (
        f"{line['task']}, {line['time']}, seed {line['seed']}: {exported['label']} with "
        f"{exported['params']:,} parameters, {100 * exported['test']:.1f}% on test, "
        f"{line['seconds']:.0f} s (planned {line['planned_seconds']:.0f})"
    )


def summary(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For each task and time, means over the runs.

    These are the test accuracy of the exported row, those of the other rows, by label, and the lead over each
    of them with its standard error, paired by run. It is that of the exported row over baselines and over the
    training that was chosen; searched subnets, single methods, and what would have been chosen without a
    supernet by the run's own validation images, are single trainings, and so is what is ahead of them.
    """
    found = []
    for task, time in dict.fromkeys((line["task"], line["time"]) for line in lines):
        of_both = [line for line in lines if (line["task"], line["time"]) == (task, time)]
        exported = [line["rows"][line["exported"]] for line in of_both]
        rivals: dict[str, list[tuple[float, float]]] = {}
        for line, ours in zip(of_both, exported, strict=True):
            chosen = line["rows"][line["chosen"]]
            labelled = {CHOSEN: chosen}
            labelled |= {row["label"]: row for row in line["rows"].values() if not row["mean"]}
            if line["portfolio"] in line["rows"]:
                labelled[PORTFOLIO] = line["rows"][line["portfolio"]]
            for label, row in labelled.items():
                ahead = ours if label == CHOSEN or row["group"] == "baseline" else chosen
                rivals.setdefault(label, []).append((row["test"], ahead["test"] - row["test"]))
        found.append(
            {
                "task": task,
                "time": time,
                "runs": len(of_both),
                "seconds": mean_and_error([line["seconds"] for line in of_both])[0],
                "planned_seconds": mean_and_error([line["planned_seconds"] for line in of_both])[0],
                "params": mean_and_error([row["params"] for row in exported])[0],
                "test": mean_and_error([row["test"] for row in exported])[0],
                "rivals": {
                    label: {
                        "runs": len(pairs),
                        "test": mean_and_error([test for test, _ in pairs])[0],
                        "lead": _with_error([lead for _, lead in pairs]),
                    }
                    for label, pairs in rivals.items()
                },
            }
        )
    return found


def _with_error(values: Sequence[float]) -> tuple[float, float | None]:
    mean, error = mean_and_error(values)
    return mean, error if len(values) > 1 else None


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The summary as lines of Markdown: test accuracies in per cent, of exported rows and of their rivals.

    In brackets the exported row's lead, and behind a semicolon in how many of the runs the rival was tested.
    """
    labels = list(dict.fromkeys(label for row in rows for label in row["rivals"]))
    lines = [
        f"| task | time | runs | seconds (planned) | parameters | exported | {' | '.join(labels)} |",
        "|---|---|" + "---:|" * (4 + len(labels)),
    ]
    for row in rows:
        rivals = [row["rivals"].get(label) for label in labels]
        lines.append(
            f"| {row['task']} | {row['time']} | {row['runs']} | {row['seconds']:.0f} "
            f"({row['planned_seconds']:.0f}) | {row['params']:,.0f} | {100 * row['test']:.1f} | "
            + " | ".join("" if rival is None else _cell(rival, row["runs"]) for rival in rivals)
            + " |"
        )
    for time in dict.fromkeys(row["time"] for row in rows):
        of_time = [row for row in rows if row["time"] == time]
        if len(of_time) > 1:
            lines.append(_mean(of_time, labels))
    return lines


def _mean(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    """The line of means over tasks, with the standard error of each lead over tasks."""
    cells = []
    for label in labels:
        found = [row["rivals"][label] for row in rows if label in row["rivals"]]
        mean, error = mean_and_error([rival["lead"][0] for rival in found])
        level = mean_and_error([rival["test"] for rival in found])[0]
        some = "" if len(found) == len(rows) else f"; {len(found)} tasks"
        spread = "" if len(found) < 2 else f" ± {100 * error:.1f}"
        cells.append(f"{100 * level:.1f} ({100 * mean:+.1f}{spread}{some})")
    exported = mean_and_error([row["test"] for row in rows])[0]
    params = mean_and_error([row["params"] for row in rows])[0]
    runs = sum(row["runs"] for row in rows)
    seconds, planned = (mean_and_error([row[k] for row in rows])[0] for k in ("seconds", "planned_seconds"))
    return (
        f"| mean of {len(rows)} tasks | {rows[0]['time']} | {runs} | {seconds:.0f} ({planned:.0f}) "
        f"| {params:,.0f} | {100 * exported:.1f} | {' | '.join(cells)} |"
    )


def _cell(rival: Mapping[str, Any], runs: int) -> str:
    lead, error = rival["lead"]
    spread = "" if error is None else f" ± {100 * error:.1f}"
    some = "" if rival["runs"] == runs else f"; {rival['runs']}"
    return f"{100 * rival['test']:.1f} ({100 * lead:+.1f}{spread}{some})"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
