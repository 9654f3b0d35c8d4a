"""Entry point of ``python -m benchmarks.faults``, with a study for each kind of fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks.faults import damaged_files, full_disk, hostile_inputs, kills, long_run, refusals
from benchmarks.harness.command_line import StudyParser, exit_status

STUDIES: dict[str, Callable[[Sequence[str]], None]] = {
    "damaged-files": damaged_files.run,
    "full-disk": full_disk.run,
    "hostile-inputs": hostile_inputs.run,
    "kills": kills.run,
    "long-run": long_run.run,
    "refusals": refusals.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study that is named first, with the other words as its options; return the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = StudyParser("faults", "Put a run through faults; each study has --help.")
    parser.add_argument("study", choices=sorted(STUDIES))
    return exit_status(lambda words: STUDIES[parser.parse_args(words[:1]).study](words[1:]), words)


if __name__ == "__main__":
    sys.exit(main())
