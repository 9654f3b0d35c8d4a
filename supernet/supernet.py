"""The network that holds every subnet: a frozen backbone, elastic modules in each layer, and a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from search_spaces import KINDS, Architecture, BackboneShape
from supernet.architecture_batch import ArchitectureBatch
from supernet.depth_dropout import KeptLayers
from supernet.initial_values import parameters_on
from supernet.layer import layer_forward, present_modules
from supernet.modules import ELASTIC, ElasticModule, InLayer, LoRAPositions, ShallowPrompts, Size
from supernet.operations import Positions
from supernet.projection_weights import FrozenProjection
from supernet.shape import shape_of
from supernet.trainable import Trainable, trainable_set
from supernet.transfers import any_of
from supernet.trunk import Trunk


class Supernet(nn.Module):
    """Every subnet up to ``capacity``, sharing one set of weights around one frozen backbone.

    The architecture is an argument of the forward pass and never state. A subnet extracted at its exact
    size is again a `Supernet`, whose capacity is its architecture, so there is only one forward pass.
    The backbone is kept by reference, frozen and in evaluation mode (no dropout, no stochastic depth);
    ``seed`` draws the modules and the head.

    Two switches change time and memory, but not the result. With ``checkpointing`` a layer keeps only its
    input for the backward pass and recomputes the rest. With ``compiled`` the pass runs through
    ``torch.compile``: one compilation for each batch shape if every image has its own architecture, or for
    each architecture if the batch has one.

    Args:
        backbone: a supported timm ViT (see `supernet.backbones`); its own classifier is not used.
        capacity: largest size of each kind in each layer.
        num_classes: number of outputs of the head, a linear layer on timm's pooled features.
        seed: seed of the initial weights.

    Raises `InputError` for a kind that the backbone cannot have.
    """

    def __init__(self, backbone: nn.Module, capacity: Architecture, num_classes: int, seed: int = 0) -> None:
        super().__init__()
        trunk = Trunk(backbone)
        if capacity.depth != len(trunk.layers):
            raise ValueError(f"the capacity has {capacity.depth} layers and the backbone {len(trunk.layers)}")
        self.backbone = backbone
        if unknown := [kind for kind in capacity.kinds if kind not in ELASTIC]:
            raise ValueError(
                f"module kind '{unknown[0]}' has a cost but no module; register one with register_elastic"
            )
        self.trunk = trunk
        self.shape: BackboneShape = shape_of(trunk)
        for kind in capacity.kinds:
            KINDS[kind].require_backbone(self.shape)
        self.checkpointing = False
        self.compiled = False
        self._compiled_pass: Any = None
        self.capacity = capacity
        self.num_classes = num_classes
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    kind: ELASTIC[kind](self.shape, capacity[kind][i])
                    for kind in capacity.kinds
                    if capacity[kind][i]
                }
            )
            for i in range(capacity.depth)
        )
        for kind in capacity.kinds:
            if KINDS[kind].acts_everywhere:
                first, *others = cast("Sequence[nn.ModuleDict]", self.layers)
                for i, later in enumerate(others, 1):
                    later[kind] = InLayer(cast(ElasticModule, first[kind]), i)
        for layer, modules in zip(trunk.layers, self.layers, strict=True):
            for module in cast("dict[str, ElasticModule]", modules).values():
                if module.reads_weights:
                    module.bind(FrozenProjection(layer, module.places[0]))
        # on meta nothing is drawn from torch's global stream
        self.head = nn.Linear(self.shape.width, num_classes, device="meta")
        self.head.weight = nn.Parameter(torch.empty(num_classes, self.shape.width))
        self.head.bias = nn.Parameter(torch.empty(num_classes))
        self.reset(seed)
        self.set_trainable("modules")
        self.to(next(backbone.parameters()).device)

    def reset(self, seed: int) -> None:
        """Draw new modules and a new head; subnets without prompts then compute the pretrained features.

        Values are drawn on the CPU, so that they are the same on every device.
        """
        generator = torch.Generator().manual_seed(seed)
        for module in self.elastic_modules():
            module.reset(generator)
        with parameters_on(self.head, generator.device):
            nn.init.trunc_normal_(self.head.weight, std=0.02, generator=generator)
            nn.init.zeros_(self.head.bias)

    def elastic_modules(self) -> list[ElasticModule]:
        """All modules, from the first layer to the last."""
        return [cast(ElasticModule, m) for layer in self.layers for m in cast(nn.ModuleDict, layer).values()]

    def set_trainable(self, what: Trainable) -> None:
        """Choose the parameters that receive gradients. Raises ``ValueError`` for an unknown set."""
        trainable_set(what).mark(self)

    def train(self, mode: bool = True) -> Supernet:
        """Set training mode as torch does, but leave the backbone in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(
        self,
        images: Tensor,
        architecture: Architecture | Sequence[Architecture] | ArchitectureBatch | None = None,
        kept: KeptLayers | None = None,
    ) -> Tensor:
        """Logits ``(B, classes)`` of normalised images ``(B, 3, H, W)``.

        ``architecture`` is one for the whole batch (modules are sliced), or one for each image (modules run
        at capacity and are masked), or ``None`` for the capacity itself. ``kept`` leaves parts of the layers
        out for some images, in training. Raises ``ValueError`` for an
        architecture beyond the capacity, and if the number of architectures is not that of the images.
        """
        return self.classify(self.features(images, architecture, kept))

    def classify(self, features: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of pooled features ``(B, d)``, in float32 under autocast too.

        In bfloat16 a logit would have three significant digits.
        """
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(features.to(self.head.weight.dtype))
        return logits

    def features(
        self,
        images: Tensor,
        architecture: Architecture | Sequence[Architecture] | ArchitectureBatch | None = None,
        kept: KeptLayers | None = None,
    ) -> Tensor:
        """The pooled features ``(B, d)`` that the head reads; arguments as in `forward`."""
        sizes = self._sizes(images.shape[0], architecture)
        if not self.compiled:
            return self._pass(images, sizes, kept)
        if self._compiled_pass is None:
            self._compiled_pass = torch.compile(self._pass, dynamic=False)
        pooled: Tensor = self._compiled_pass(images, sizes, kept)
        return pooled

    def _pass(
        self, images: Tensor, sizes: Sequence[Mapping[str, Size]], kept: KeptLayers | None = None
    ) -> Tensor:
        x, at, prompts = self.embed(images, sizes[0])
        of_layers = zip(self.trunk.layers, self.layers, sizes, at, strict=True)
        for index, (layer, modules, size, where) in enumerate(of_layers):
            of_layer = None if kept is None else kept.layer(index)
            arguments = (layer, cast(nn.ModuleDict, modules), x, size, where, of_layer)
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer_forward, *arguments, use_reentrant=False)
            else:
                x = layer_forward(*arguments)
        return self.pool(x, prompts)

    def embed(self, images: Tensor, sizes: Mapping[str, Size]) -> tuple[Tensor, list[Positions], int]:
        """Tokens ``(B, N, d)`` before the first layer, positions for each layer, and the number of prompts.

        The modules of ``sizes`` that act before the first layer are included: vectors added to the tokens,
        and the prompts of VPT-shallow.
        """
        return self.before_layers(*self.trunk.embed(images), images, sizes)

    def before_layers(
        self, x: Tensor, at: list[Positions], images: Tensor, sizes: Mapping[str, Size]
    ) -> tuple[Tensor, list[Positions], int]:
        """Apply the modules of ``sizes`` that act before the first layer; see `embed`.

        ``x (B, N, d)`` and ``at`` are the trunk's embedding; of ``images`` only the height and width count.
        """
        modules = cast(nn.ModuleDict, self.layers[0])
        present = {module.kind: (module, size) for module, size in present_modules(modules, sizes)}
        if LoRAPositions.kind in present:
            positions, size = cast(tuple[LoRAPositions, Size], present[LoRAPositions.kind])
            x = x + positions.added(self.trunk.resampled(positions.down, images), size)
        if ShallowPrompts.kind not in present:
            return x, at, 0
        module, shallow = cast(tuple[ShallowPrompts, Size], present[ShallowPrompts.kind])
        prompts = module.prompts(shallow)
        x, at = self.trunk.with_prompts(x, at, prompts, shallow if isinstance(shallow, Tensor) else None)
        return x, at, len(prompts)

    def run_layer(self, index: int, x: Tensor, sizes: Mapping[str, Size], at: list[Positions]) -> Tensor:
        """Run a layer on tokens ``(B, N, d)`` with the modules of ``sizes``; ``at`` comes from `embed`."""
        return layer_forward(
            self.trunk.layers[index], cast(nn.ModuleDict, self.layers[index]), x, sizes, at[index]
        )

    def pool(self, x: Tensor, prompts: int) -> Tensor:
        """Pooled features ``(B, d)`` of the last layer's tokens, after dropping ``prompts`` prompt tokens."""
        return self.trunk.pool(self.trunk.without_prompts(x, prompts) if prompts else x)

    def _sizes(
        self, batch: int, architecture: Architecture | Sequence[Architecture] | ArchitectureBatch | None
    ) -> Sequence[Mapping[str, Size]]:
        if architecture is None:
            architecture = self.capacity
        if isinstance(architecture, Architecture):
            if not self.capacity.covers(architecture):
                raise ValueError(
                    f"{architecture.describe()} is beyond the capacity {self.capacity.describe()}"
                )
            return [architecture.acting_in(i) for i in range(architecture.depth)]
        if not isinstance(architecture, ArchitectureBatch):
            for a in architecture:
                if not self.capacity.covers(a):
                    raise ValueError(f"{a.describe()} is beyond the capacity {self.capacity.describe()}")
            architecture = ArchitectureBatch.of(architecture, self.capacity.kinds)
        if len(architecture) != batch:
            raise ValueError(f"{len(architecture)} architectures for {batch} images; give one for each image")
        # checked on the device of the sizes, usually the CPU
        self._require_covered(architecture)
        per_image = architecture.to(self.head.weight.device)
        return [per_image.layer(i) for i in range(self.capacity.depth)]

    def _require_covered(self, batch: ArchitectureBatch) -> None:
        layers, kinds = self.capacity.depth, batch.kinds
        limits = [[self.capacity[kind][i] for kind in kinds] for i in range(layers)]
        fits = batch.sizes.shape[1:] == (layers, len(kinds))
        if not fits or any_of(batch.sizes > torch.tensor(limits, device=batch.sizes.device)):
            raise ValueError(f"the batch goes beyond the capacity {self.capacity.describe()}")

    def module_tensors(self, architecture: Architecture) -> dict[str, Tensor]:
        """The tensors of one subnet at exact size, head included, by name (``layers.3.lora_rank.down``)."""
        tensors = {"head.weight": self.head.weight.data, "head.bias": self.head.bias.data}
        for i in range(architecture.depth):
            for kind in architecture.kinds:
                if size := architecture[kind][i]:
                    module = cast(ElasticModule, cast(nn.ModuleDict, self.layers[i])[kind])
                    for name, value in module.tensors_at(size).items():
                        tensors[f"layers.{i}.{kind}.{name}"] = value
        return tensors

    def load_module_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the tensors that `module_tensors` returned for a supernet of the same capacity.

        Raises ``KeyError`` for a missing or unknown name, and ``ValueError`` for another shape.
        """
        own = self.module_tensors(self.capacity)
        if own.keys() != tensors.keys():
            raise KeyError(f"tensors do not fit: {sorted(own.keys() ^ tensors.keys())[:3]}")
        if wrong := [name for name, value in own.items() if value.shape != tensors[name].shape]:
            raise ValueError(f"tensors of another shape: {wrong[:3]}")
        for name, value in own.items():
            value.copy_(tensors[name])

    def extract(self, architecture: Architecture) -> Supernet:
        """The subnet at exact size, with copies of the inherited weights, around the same backbone."""
        if not self.capacity.covers(architecture):
            raise ValueError(f"{architecture.describe()} is beyond the capacity {self.capacity.describe()}")
        subnet = Supernet(self.backbone, architecture, self.num_classes)
        subnet.load_module_tensors(self.module_tensors(architecture))
        return subnet
