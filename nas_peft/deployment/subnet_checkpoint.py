"""``--to subnet``: this package's own checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from nas_peft.deployment.folding import Folded
from nas_peft.deployment.form import Logits, loading_line
from supernet import Subnet, load_subnet, save_subnet


@dataclass(frozen=True)
class SubnetCheckpoint:
    """The file that `supernet.load_subnet` reads; with ``half`` in float16."""

    half: bool = False
    name: ClassVar[str] = "subnet"
    suffixes: ClassVar[tuple[str, ...]] = (".safetensors",)
    extra: ClassVar[str | None] = None

    def require(self, subnet: Subnet, folded: Folded) -> None:
        """See `Form.require`."""

    def write(self, subnet: Subnet, folded: Folded, path: Path) -> None:
        """See `Form.write`."""
        save_subnet(subnet, path, half=self.half)

    def read(self, subnet: Subnet, path: Path) -> Logits:
        """See `Form.read`."""
        return cast(Logits, load_subnet(path, None if subnet.changed_backbone else subnet.backbone).network)

    def usage(self, subnet: Subnet, path: Path) -> str:
        """See `Form.usage`."""
        return loading_line(subnet, repr(str(path)))
