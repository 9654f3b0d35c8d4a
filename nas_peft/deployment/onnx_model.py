"""``--to onnx``: an ONNX model, for onnxruntime and everything else that reads ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nas_peft.deployment.folding import Folded
from nas_peft.deployment.form import Logits, about
from supernet import Subnet
from supernet.tracing import traced


class OnnxModel:
    """Input ``images``, output ``logits``, batches of any size; `about` is the metadata ``nas_peft``."""

    name: ClassVar[str] = "onnx"
    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    extra: ClassVar[str | None] = "onnx"

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`. Every subnet has this form."""

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        program = traced(folded.network, subnet.preprocessing.input_size[1:])
        with warnings.catch_warnings():  # of the exporter about its own libraries
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: "batch"},),
                optimize=False,  # takes longer than the export; onnxruntime optimises what it loads
                verbose=False,
            )
        assert exported is not None  # None without dynamo
        exported.model.metadata_props["nas_peft"] = about(subnet)
        exported.save(path)

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def logits(images: Tensor) -> Tensor:
            return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

        return logits

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        return f"onnxruntime.InferenceSession({str(path)!r}).run(['logits'], {{'images': pixels}})"
