"""Export in another library's form: written aside, compared with the subnet, then kept or removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_peft.deployment.check_images import CheckImages
from nas_peft.deployment.extra import require_extra
from nas_peft.deployment.folding import fold, labels
from nas_peft.deployment.form import Form, require_output
from nas_peft.deployment.hub_folder import HubFolder, upload_command
from nas_peft.deployment.model_card import LICENSE_UNKNOWN
from nas_peft.deployment.onnx_model import OnnxModel
from nas_peft.deployment.output_files import OutputFiles
from nas_peft.deployment.peft_adapter import PeftAdapter
from nas_peft.deployment.subnet_checkpoint import SubnetCheckpoint
from nas_peft.deployment.timm_checkpoint import TimmCheckpoint
from nas_peft.deployment.torch_program import TorchProgram
from nas_peft.deployment.verification import HALF_TOLERANCE, TOLERANCE, Verification, verify
from search_spaces import InputError
from search_spaces.errors import unknown_name
from supernet import Subnet

FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        TimmCheckpoint(),
        PeftAdapter(),
        OnnxModel(),
        TorchProgram(),
        SubnetCheckpoint(),
        HubFolder(),
    )
}
KEEP_MODULES = (PeftAdapter.name, SubnetCheckpoint.name, HubFolder.name)
"""Forms into which nothing is folded."""


@dataclass(frozen=True)
class ExportReport:
    """A finished export: its path and size, what was folded into the weights, and the comparison.

    ``folded`` and ``remaining`` are the kinds of modules. ``usage`` is the Python line that loads the export,
    ``upload`` the command that uploads a hub folder, ``None`` of other forms. ``companions`` are further
    files that belong beside ``path``, such as the weights of a large ONNX model; ``bytes`` counts all files.
    """

    to: str
    path: Path
    bytes: int
    folded: tuple[str, ...]
    remaining: tuple[str, ...]
    verification: Verification
    usage: str
    upload: str | None = None
    companions: tuple[Path, ...] = ()

    def lines(self) -> list[str]:
        """The report for people."""
        return [
            f"{self.to}: {' with '.join(map(str, (self.path, *self.companions)))} ({self.bytes:,} bytes)",
            f"folded into the weights: {labels(self.folded)}; kept as modules: {labels(self.remaining)}",
            f"checked: {self.verification.describe()}",
            f"load: {self.usage}",
            *([f"upload, when you want to: {self.upload}"] if self.upload else []),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        found = self.verification
        return {
            "to": self.to,
            "path": str(self.path),
            "bytes": self.bytes,
            "folded": list(self.folded),
            "remaining": list(self.remaining),
            "largest_difference": found.difference,
            "accepted_difference": found.accepted,
            "images": found.images,
            "load": self.usage,
            **({"upload": self.upload} if self.upload else {}),
            **({"companions": [str(file) for file in self.companions]} if self.companions else {}),
        }


def require_form(to: str, output: Path, *, half: bool = False, license: str | None = None) -> Form:
    """The form called ``to``, in float16 with ``half``; ``license`` is that of a model card.

    Raises `InputError` for another name, a missing library and a wrong output.
    """
    if to not in FORMS:
        raise unknown_name("form of export", to, FORMS, "Give one of them to --to.")
    form = FORMS[to]
    if half and to not in (SubnetCheckpoint.name, HubFolder.name):
        raise InputError(
            f"half stores a subnet checkpoint in float16; give --to subnet or --to hub-folder, not {to}"
        )
    if license is not None and to != HubFolder.name:
        raise InputError(f"license is for the model card of a hub folder; give --to hub-folder, not {to}")
    if to == SubnetCheckpoint.name and half:
        form = SubnetCheckpoint(half=True)
    if to == HubFolder.name:
        form = HubFolder(half=half, license=license or LICENSE_UNKNOWN)
    if form.extra:
        require_extra(form.extra)
    require_output(form, output)
    return form


def export_model(
    subnet: Subnet,
    to: str,
    output: str | Path,
    *,
    images: Sequence[str | Path] = (),
    tolerance: float | None = None,
    half: bool = False,
    license: str | None = None,
) -> ExportReport:
    """Export ``subnet`` to ``output`` and check it.

    ``to`` is merged, peft, onnx, torch-export, subnet or hub-folder.

    The export is read back by the library that it is for, and its logits are compared with the subnet's on
    ``images`` (files); by default on images of the subnet's data set where that is at hand, else on generated
    pictures. ``tolerance`` is relative to the largest logit, or absolute where that is below 1; by default
    `TOLERANCE`, or `HALF_TOLERANCE` with ``half``, which stores a subnet checkpoint in float16. ``license``
    is the licence on the model card of a hub folder, by the hub's identifiers. A file that exists is replaced
    once the check has passed. An ONNX model above 1.5 GiB has its weights in a second file, ``output`` with
    ``.data`` at the end, which is moved with it.

    Raises `InputError` if the subnet has no such form, a library is missing, the output is in the way, or the
    logits differ by more; nothing is then left behind.
    """
    path = Path(output)
    form = require_form(to, path, half=half, license=license)
    if tolerance is None:
        tolerance = HALF_TOLERANCE if half else TOLERANCE
    photos = [Path(file) for file in images]
    if missing := [file for file in photos if not file.is_file()]:
        raise InputError(f"no image at '{missing[0]}'; give image files to --images")
    subnet.network.cpu().eval()
    folded = fold(subnet.network)
    form.require(subnet, folded)
    checked_on = CheckImages.for_subnet(subnet, photos)
    with OutputFiles.aside(path) as files:
        form.write(subnet, folded, files.written)
        found = verify(subnet.network, form.read(subnet, files.written), checked_on, tolerance)
        _require_equal(found)
        size, companions = files.bytes, files.companions
        with files.in_place():
            if companions:  # which are found by their names, where they are now
                _require_equal(verify(subnet.network, form.read(subnet, path), checked_on, tolerance))
    whole = form.name in KEEP_MODULES
    return ExportReport(
        to=to,
        path=path,
        bytes=size,
        folded=() if whole else folded.kinds,
        remaining=subnet.architecture.kinds if whole else folded.remaining,
        verification=found,
        usage=form.usage(subnet, path),
        upload=upload_command(path) if form.name == HubFolder.name else None,
        companions=companions,
    )


def _require_equal(found: Verification) -> None:
    if not found.passed:
        raise InputError(
            f"the export does not compute what the subnet computes and was removed: {found.describe()}; "
            "give another --to, or a larger --tolerance if you accept that"
        )
