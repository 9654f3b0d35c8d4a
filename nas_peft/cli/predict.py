"""``nas-peft predict``: classify images with exported subnets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nas_peft.cli.subnet_options import (
    MAX_PIXELS,
    Debug,
    MaxPixels,
    ModuleFiles,
    OneDevice,
    require_outputs,
)
from nas_peft.cli.user_errors import user_errors

if TYPE_CHECKING:
    from rich.progress import Progress

    from nas_peft.data.decoding import UnreadableImage

SKIPPED = 3
"""Exit status when some images were left out."""


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|IMAGE|FOLDER",
            help="Subnet files, whose names end in .safetensors (subnet.safetensors of a run), and images: "
            "image files, or folders whose images at any depth are classified.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print for each image.")] = 3,
    shown_as: Annotated[
        Literal["table", "json", "csv"] | None,
        typer.Option(
            "--format",
            help="Form of the answers: a table, JSON lines (an object for each image and subnet), or CSV. By "
            "default the ending of --output decides (.csv, .json, .jsonl), else a table is printed.",
        ),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write the answers to, instead of standard output."),
    ] = None,
    device: OneDevice = "auto",
    backbone_weights: Annotated[
        list[Path],
        typer.Option(
            help="Weights file of a backbone, if a subnet was trained with --backbone-weights; can be given "
            "several times, and each subnet takes the one that it was trained on."
        ),
    ] = [],  # noqa: B006
    module_file: ModuleFiles = [],  # noqa: B006
    max_pixels: MaxPixels = MAX_PIXELS,
    debug: Debug = False,
) -> None:
    """Classify images: the most probable classes of each, with calibrated probabilities.

    Exit status: 0 if every image was classified; 3 if images were skipped because they cannot be read
    (standard error names them); 2 for a mistake in the command, before any answer.
    """
    with user_errors(debug):
        from nas_peft.cli.early_checks import require_subnet
        from nas_peft.prediction.image_paths import find_images, models_and_images

        files, others = models_and_images(paths)  # mistakes are told before torch is imported
        images = find_images(others)
        for file in files:
            require_subnet(file)
        require_outputs(output, inputs=(*files, *images.paths, *backbone_weights, *module_file))

        from nas_peft.data.blank_images import ANSWERS_MEAN_LITTLE, blank_warning
        from nas_peft.data.decoding import pixel_limit
        from nas_peft.data.image_files import shown_name
        from nas_peft.machine.devices import resolve_device
        from nas_peft.prediction.classification import classify
        from nas_peft.prediction.models import load_models
        from nas_peft.prediction.output import chosen_format, output_to
        from nas_peft.run.module_files import import_module_files
        from supernet.atomic_file import text_written_atomically

        form = chosen_format(shown_as, json_lines, output)
        import_module_files(module_file)
        models = load_models(files, backbone_weights=backbone_weights, device=resolve_device(device))
        skipped = sum(images.unread.values())
        target = nullcontext(sys.stdout) if output is None else text_written_atomically(output)
        with target as stream, pixel_limit(max_pixels), _progress(len(images.paths)) as bar:

            def leave_out(path: Path, error: UnreadableImage) -> None:
                nonlocal skipped
                skipped += 1
                with bar.hidden():
                    _note(f"skipped: image '{shown_name(str(path))}' cannot be decoded: {error.reason}")

            written = output_to(stream, form, models, images.paths, top)
            blank: list[Path] = []
            for predictions in classify(
                models,
                bar.counting(images.paths),
                top=top,
                on_unreadable=leave_out,
                on_blank=blank.append,
            ):
                with bar.hidden() if stream.isatty() else nullcontext():
                    written.write(predictions)
        if blank:
            example = f"'{shown_name(str(blank[0]))}'"
            _note(f"warning: {blank_warning(len(blank), len(images.paths), example, ANSWERS_MEAN_LITTLE)}")
        for reason, count in images.unread.items():
            _note(f"skipped: {count} {reason}")
        if images.left_out:
            held = ", ".join(f"{count} {reason}" for reason, count in images.left_out.items())
            _note(f"left out of the folders, not images: {held}")
        if skipped:
            total = len(images.paths) + sum(images.unread.values())
            _note(f"{skipped} of {total} images were skipped")
            raise typer.Exit(SKIPPED)


def _note(text: str) -> None:
    print(text, file=sys.stderr)


class _Bar:
    """Progress on standard error where that is a terminal; else nothing."""

    def __init__(self, bars: Progress, total: int) -> None:
        self._bars = bars
        self._task = bars.add_task("images", total=total)

    def counting(self, paths: tuple[Path, ...]) -> Iterator[Path]:
        """The paths, each counted when the next is asked for."""
        for path in paths:
            yield path
            self._bars.advance(self._task)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Context in which other lines are printed on the terminal."""
        shown = not self._bars.disable
        if shown:
            self._bars.stop()
        yield
        if shown:
            self._bars.start()


@contextmanager
def _progress(total: int) -> Iterator[_Bar]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from nas_peft.run.text_console import TextConsole

    console = TextConsole(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,  # would send the answers to standard error
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as bars:
        yield _Bar(bars, total)
