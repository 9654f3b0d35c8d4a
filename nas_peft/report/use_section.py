"""How to use the exported file: commands, and the lines of Python."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from nas_peft.report.reported_run import ReportedRun


@dataclass(frozen=True)
class UseSection:
    """Commands with their purposes, and a Python snippet."""

    commands: tuple[tuple[str, str], ...]
    python: str


def use_section(run: ReportedRun) -> UseSection:
    """What to do with the exported subnet and the run folder."""
    folder = shlex.quote(str(run.path))
    file = str(run.path / str(run.result.subnet["file"]))
    subnet = shlex.quote(file)
    weights = run.options.get("backbone_weights")
    modules = list(run.options.get("module_files") or ())
    loading = "" if weights is None else f" --backbone-weights {shlex.quote(str(weights))}"
    loading += "".join(f" --module-file {shlex.quote(str(module))}" for module in modules)
    commands = [
        (f"nas-peft predict {subnet} PHOTOS/{loading}", "Classify images."),
        (f"nas-peft serve {subnet}{loading}", "Serve it over HTTP, with a page to try it."),
        (f"nas-peft export {folder} --to onnx --output model.onnx", "Convert it for other libraries."),
    ]
    if run.search is not None:
        commands += [
            (f"nas-peft front {folder}", "List other sizes from the same search, and export one."),
            (f"nas-peft audit {folder}", "Measure how well the search ranks subnets on these data."),
        ]
    decision = run.result.decision
    if decision is not None and (full := decision.better_full) is not None:
        command = f"nas-peft export {folder} --row {full.row} --to merged --output full.safetensors"
        commands.append((command, "Export full fine-tuning, which is better here."))
    given = "" if weights is None else f", backbone_weights={str(weights)!r}"
    python = (
        "import nas_peft\nfrom PIL import Image\n\n"
        f"subnet = nas_peft.load_subnet({file!r}{given})\n"
        'probabilities = subnet.probabilities([Image.open("photo.jpg")])\n'
        "print(subnet.classes[int(probabilities[0].argmax())])"
    )
    return UseSection(tuple(commands), python)
