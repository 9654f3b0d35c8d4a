"""Page of the documentation made from the result of the small VTAB.

::

    python -m benchmarks.mini_vtab.page benchmarks/results/mini_vtab.json docs/mini_vtab.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.mini_vtab.tables import accuracy_cell
from search_spaces import InputError
from supernet import write_atomically


def page(result: Mapping[str, Any]) -> str:
    """Markdown page: table of accuracies, choices on each task, and the machine."""
    settings, tasks, means = result["settings"], result["tasks"], result["means"]
    against, machine = result["against"]["searched"], result["setup"]["machine"]
    lines = [
        "# The small VTAB",
        "",
        f"Test accuracy in per cent, mean ± standard deviation over {settings['seeds']} seeds. "
        "`searched − it`: mean over tasks of the searched subnet's lead, ± its standard error over seeds; "
        "won/tied/lost: on how many tasks, by a paired t-test over the seeds at 5%. How it was measured: "
        "`python -m benchmarks.mini_vtab`, which also repeats it; this page is made of its result by "
        "`python -m benchmarks.mini_vtab.page`. [The log](log/small_vtab.md) says what was learned, and "
        "which readings of the test parts came before this one.",
        "",
        f"| method | params | {' | '.join(tasks)} | flat mean | group mean | searched − it | won/tied/lost |",
        "|---|" + "---:|" * (len(tasks) + 5),
    ]
    for name, of in means.items():
        cells = [accuracy_cell(task["methods"][name]["test_accuracies"]) for task in tasks.values()]
        params = fmean(fmean(task["methods"][name]["params"]) for task in tasks.values())
        pair = against.get(name)
        lead = f"{pair['mean']:+.2f} ± {pair['error_over_seeds']:.2f}" if pair else ""
        counts = f"{pair['win']}/{pair['tie']}/{pair['loss']}" if pair else ""
        row = [name, f"{params:,.0f}", *cells, f"{of['flat']:.2f}", f"{of['groups']:.2f}", lead, counts]
        lines.append(f"| {' | '.join(row)} |")
    lines += [
        "",
        "## Against the best single method of each task",
        "",
        "By validation data, of VPT-deep, LoRA, adapter and SSF; `selected` is what validation data prefer "
        "of these and the searched subnet, and what `nas-peft search` exports.",
        "",
        "| task | test images | best single | searched − it | selected | selected − best single | searched |",
        "|---|---:|---|---:|---|---:|---|",
    ]
    for task, of in tasks.items():
        pairs = [_pair(of[f"{ours}_minus_best_single"]) for ours in ("searched", "selected")]
        row = [
            task,
            f"{of['test_images']:,}",
            of["best_single_on_validation"],
            pairs[0],
            of["selected"],
            pairs[1],
        ]
        lines.append(f"| {' | '.join([*row, of['methods']['searched']['modules'][0]])} |")
    lines += [
        "",
        "## Learning rates that were chosen",
        "",
        f"| method | {' | '.join(tasks)} |",
        "|---|" + "---:|" * len(tasks),
    ]
    for name in means:
        rates = [f"{task['methods'][name]['lrs'][0]:g}" for task in tasks.values()]
        lines.append(f"| {' | '.join([name, *rates])} |")
    versions = ", ".join(f"{name} {number}" for name, number in result["setup"]["versions"].items())
    workers = f"{machine['workers']} processes" if machine["workers"] > 1 else "one process"
    lines += ["", f"Machine: {machine['processor']}, {machine['device']}, {workers}; {versions}.", ""]
    return "\n".join(lines)


def _pair(pair: Mapping[str, Any]) -> str:
    return f"{pair['mean']:+.1f} ± {pair['error']:.1f}, {pair['outcome']}"


def run(argv: Sequence[str]) -> None:
    """Write the page of the command line. Raises `InputError`."""
    parser = StudyParser("mini_vtab.page", "Write the result of the small VTAB as a page of Markdown.")
    parser.add_argument("result", type=Path, help="JSON file that python -m benchmarks.mini_vtab has written")
    parser.add_argument("page", type=Path, help="Markdown file to write")
    args = parser.parse_args(argv)
    try:
        text = page(json.loads(args.result.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"'{args.result}' is not a result of the small VTAB ({type(error).__name__}); "
            "python -m benchmarks.mini_vtab writes one"
        ) from error
    write_atomically(args.page, text.encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
