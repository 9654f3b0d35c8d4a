"""Pretrain a small Vision Transformer on a folder or a tar of images, one directory per class::

    python examples/pretrain_backbone.py --data tiny_imagenet_32.tar --out vit_micro_patch8_32.safetensors

With the defaults and these data (28 epochs of 98,000 images, 200 classes) it takes about 80 minutes on two
cores. Progress is one line of JSON per epoch. The state is saved after every epoch (``OUT.state.pt``); after
a kill the same command resumes from it and ends with the same weights. The backbone shipped with nas-peft was
made in this way, but cut to 14 epochs while it was trained (held-out accuracy 37.5%): epochs 1 to 5 have the
learning rates of a schedule of 28 epochs, epoch 6 of 22, epochs 7 and 8 of 18, and the rest of 14.

Recipe: cross-entropy with label smoothing 0.1 on the whole network, from scratch; each image flipped with
probability 1/2 and shifted by up to ``image size / 8`` pixels, reflecting at the border; batches of 256; the
learning rate rises linearly for the first 5% of the steps and falls linearly to zero; gradients clipped at
norm 1. Matrices inside the blocks are updated by Muon, its updates scaled to AdamW's size
(https://kellerjordan.github.io/posts/muon/; torch >= 2.9), everything else by AdamW (betas 0.9 and 0.98);
``--optimizer adamw`` uses AdamW throughout. Weight decay is 0.05, and zero for biases and norms. Mean
pooling, no class token. ``--held-out`` random images are left out of training, to measure the accuracy.

The file holds the weights in half precision under timm's names, classifier included. Its metadata have, as
JSON, ``classes`` (in label order), ``recipe`` (the settings) and ``history`` (an entry for each epoch).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from search_spaces.errors import InputError
from supernet.atomic_file import write_atomically

IMAGE_SUFFIXES = {".jpeg", ".jpg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True)
class Settings:
    """Options of the command line, whose defaults are in `parse`."""

    data: Path
    out: Path
    image_size: int
    patch_size: int
    dim: int
    depth: int
    heads: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: Literal["muon", "adamw"]
    held_out: int
    seed: int
    compile: bool
    max_steps: int | None

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise InputError(
                f"--image-size {self.image_size} is not a multiple of --patch-size {self.patch_size}"
            )
        if self.dim % self.heads:
            raise InputError(f"--dim {self.dim} is not a multiple of --heads {self.heads}")
        if self.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
            raise InputError(f"torch {torch.__version__} has no Muon; install 2.9, or give --optimizer adamw")

    @property
    def state_file(self) -> Path:
        """File of the state that is saved after each epoch."""
        return self.out.with_name(self.out.name + ".state.pt")

    def identity(self, images: str) -> dict[str, Any]:
        """Settings that must be equal for a training to resume: all but file paths and limits."""
        apart = {"data", "out", "max_steps"}
        return {k: v for k, v in asdict(self).items() if k not in apart} | {"images": images}


def encoded_images(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield ``(path, class, encoded image)`` of each image; the class is the name of its directory.

    A folder is read in order of path, a tar in its own order. Raises `InputError` for a source that does not
    exist or is not a tar, and for images outside class directories.
    """
    if source.is_dir():
        for path in sorted(
            p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
        ):
            yield str(path), _class_of(path.relative_to(source), source), path.read_bytes()
        return
    if not source.is_file():
        raise InputError(f"no data at '{source}'; give a folder or a tar with one directory per class")
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                path = Path(member.name)
                if path.suffix.lower() not in IMAGE_SUFFIXES:
                    continue
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield f"{source}:{member.name}", _class_of(path, source), stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(
            f"'{source}' cannot be read as a tar ({type(error).__name__}); give an intact one"
        ) from error


def _class_of(path: Path, source: Path) -> str:
    if not path.parent.name:
        raise InputError(f"image '{path}' of '{source}' is in no class directory; move it into one")
    return path.parent.name


def decode(where: str, data: bytes, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB pixels ``(size, size, 3)``; an image of another size is resized, whatever its proportions."""
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except Exception as error:  # damaged bytes make PIL's format plugins raise anything
        reason = "it is not an image file" if "identify" in str(error) else " ".join(str(error).split())
        raise InputError(f"image '{where}' cannot be decoded: {reason}; repair or remove it") from error
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def load_images(source: Path, size: int) -> tuple[Tensor, Tensor, list[str]]:
    """Decode every image once: uint8 images (N, 3, size, size), labels (N,), class names in label order.

    Raises `InputError` for fewer than two classes, and as `encoded_images` and `decode` do.
    """
    images, names = [], []
    for where, name, data in encoded_images(source):
        images.append(decode(where, data, size))
        names.append(name)
    classes = sorted(set(names))
    if len(classes) < 2:
        found = f"images of one class, '{classes[0]}'," if classes else "no images"
        raise InputError(f"{found} in '{source}'; give a folder or a tar with one directory per class")
    index = {name: i for i, name in enumerate(classes)}
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.tensor([index[name] for name in names]), classes


def fingerprint(images: Tensor, labels: Tensor, classes: list[str]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 over class names, images and labels."""
    digest = hashlib.sha256("\n".join(classes).encode())
    digest.update(images.numpy().data)
    digest.update(labels.numpy().data)
    return digest.hexdigest()[:16]


def split_held_out(images: int, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of held-out and of training images, in random order. Raises `InputError` without the latter."""
    if held_out >= images:
        raise InputError(f"--held-out {held_out} leaves nothing of {images} images to train on; give less")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(images))
    return order[:held_out], order[held_out:]


def augment(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Flip and shift each image of a uint8 batch (B, 3, S, S) on its own; returns floats in [-1, 1]."""
    batch, _, size, _ = images.shape
    flip = torch.rand(batch, generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    padded = F.pad(images.float(), (shift,) * 4, mode="reflect")
    offsets = torch.randint(0, 2 * shift + 1, (2, batch, 1), generator=generator)
    rows = (torch.arange(size) + offsets[0])[:, None, :, None]
    columns = (torch.arange(size) + offsets[1])[:, None, None, :]
    channels = torch.arange(3)[None, :, None, None]
    shifted = padded[torch.arange(batch)[:, None, None, None], channels, rows, columns]
    return shifted / 127.5 - 1.0


def build_model(settings: Settings, num_classes: int) -> VisionTransformer:
    """The network with initial weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):  # timm initialises from torch's global stream
        torch.manual_seed(settings.seed)
        return VisionTransformer(
            img_size=settings.image_size, patch_size=settings.patch_size, num_classes=num_classes,
            embed_dim=settings.dim, depth=settings.depth, num_heads=settings.heads,
            class_token=False, global_pool="avg", fc_norm=False,
        )  # fmt: skip


def build_optimizers(model: VisionTransformer, settings: Settings) -> list[torch.optim.Optimizer]:
    """AdamW for all, or Muon for block matrices (updates scaled to AdamW's size) and AdamW for the rest."""
    lr, weight_decay = settings.lr, settings.weight_decay
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2]
    chosen = {id(p) for p in matrices} if settings.optimizer == "muon" else set()
    rest = [p for p in model.parameters() if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim >= 2]
    plain = [p for p in rest if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    result: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)]
    if settings.optimizer == "muon":
        options: dict[str, Any] = {"weight_decay": weight_decay, "adjust_lr_fn": "match_rms_adamw"}
        result.append(torch.optim.Muon(matrices, lr=lr, **options))
    return result


@torch.inference_mode()
def accuracy(model: VisionTransformer, images: Tensor, labels: Tensor, batch: int = 500) -> float:
    """Fraction of uint8 images (N, 3, S, S) classified correctly."""
    model.eval()
    hits = 0
    for i in range(0, len(labels), batch):
        logits = model(images[i : i + batch].float() / 127.5 - 1.0)
        hits += int((logits.argmax(-1) == labels[i : i + batch]).sum())
    model.train()
    return hits / len(labels)


@dataclass
class Training:
    """State that changes from epoch to epoch, and the settings of its training (see `Settings.identity`)."""

    identity: dict[str, Any]
    model: VisionTransformer
    optimizers: list[torch.optim.Optimizer]
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the state atomically: a kill leaves the previous state intact."""
        buffer = io.BytesIO()
        state = {
            "settings": self.identity,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "history": self.history,
        }
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Resume from a saved state. Raises `InputError` for no state, and for other settings or images."""
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:  # torch.load raises errors of zipfile, pickle and its own
            raise InputError(f"'{path}' is not a readable training state; remove it to start anew") from error
        saved = state.get("settings") if isinstance(state, dict) else None
        if not isinstance(saved, dict):
            raise InputError(f"'{path}' does not say which settings it belongs to; remove it to start anew")
        own = self.identity
        keys = [key for key in sorted(own | saved) if own.get(key) != saved.get(key)]
        if keys:
            what = ", ".join(f"{key} is {saved.get(key)} there and {own.get(key)} here" for key in keys)
            raise InputError(f"'{path}' is the state of another training: {what}; remove it to start anew")
        self.model.load_state_dict(state["model"])
        for optimizer, its_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        self.history = state["history"]


def pretrain(settings: Settings) -> None:
    """Train and write the weights. Raises `InputError` for impossible settings and an infinite loss."""
    if settings.out.is_dir():
        raise InputError(f"--out '{settings.out}' is a folder; give the name of a .safetensors file")
    images, labels, classes = load_images(settings.data, settings.image_size)
    held_out, train = split_held_out(len(labels), settings.held_out, settings.seed)
    steps_per_epoch = len(train) // settings.batch_size
    if steps_per_epoch == 0:
        raise InputError(f"{len(train)} training images are fewer than a batch; give a smaller --batch-size")
    print(f"{len(train)} training and {len(held_out)} held-out images of {len(classes)} classes", flush=True)
    settings.out.parent.mkdir(parents=True, exist_ok=True)

    model = build_model(settings, len(classes))
    optimizers = build_optimizers(model, settings)
    training = Training(settings.identity(fingerprint(images, labels, classes)), model, optimizers)
    if settings.state_file.exists():
        training.restore(settings.state_file)
        print(f"resuming after epoch {len(training.history)}", flush=True)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y, label_smoothing=0.1)

    step_loss = torch.compile(loss_of) if settings.compile else loss_of
    total = settings.epochs * steps_per_epoch
    warmup = max(1, total // 20)
    for epoch in range(len(training.history), settings.epochs):
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
        shuffled = train[torch.randperm(len(train), generator=generator)]
        losses: list[Tensor] = []
        for i in range(steps_per_epoch):
            step = epoch * steps_per_epoch + i
            scale = min((step + 1) / warmup, (total - step) / max(1, total - warmup))
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr * scale
            batch = shuffled[i * settings.batch_size : (i + 1) * settings.batch_size]
            x = augment(images[batch], settings.image_size // 8, generator)
            loss = step_loss(x, labels[batch])
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
            if settings.max_steps is not None and step % 20 == 19:
                print(f"step {step + 1} loss {torch.stack(losses[-20:]).mean():.3f}", flush=True)
            if settings.max_steps is not None and step + 1 >= settings.max_steps:
                print(f"held-out accuracy {accuracy(model, images[held_out], labels[held_out]):.4f}")
                return
        row = {
            "epoch": epoch + 1,
            "loss": float(torch.stack(losses).mean()),
            "held_out_accuracy": accuracy(model, images[held_out], labels[held_out]),
            "seconds": time.perf_counter() - started,
        }
        if not math.isfinite(row["loss"]):
            raise InputError(f"the loss of epoch {epoch + 1} is {row['loss']}; try a lower --lr")
        training.history.append(row)
        print(json.dumps(row), flush=True)
        training.save(settings.state_file)

    half = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    metadata = {
        "classes": json.dumps(classes),
        "recipe": json.dumps(asdict(settings) | {"data": settings.data.name, "out": settings.out.name}),
        "history": json.dumps(training.history),
    }
    write_atomically(settings.out, save(half, metadata=metadata))
    model.load_state_dict({name: value.float() for name, value in half.items()})
    print(f"held-out accuracy in half precision: {accuracy(model, images[held_out], labels[held_out]):.4f}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help lists the options")


def whole_number(text: str, least: int = 1) -> int:
    """Parse a whole number of at least ``least``."""
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least}")
    return int(text)


def number(text: str) -> float:
    """Parse a finite number of at least 0."""
    if not 0 <= float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0")
    return float(text)


def parse(argv: Sequence[str] | None = None) -> Settings:
    """Settings from command-line arguments. Raises `InputError` for a wrong option or value."""
    style = argparse.ArgumentDefaultsHelpFormatter
    parser = _Parser(description=(__doc__ or "").partition("::")[0], formatter_class=style)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder or tar with images as class/name.jpg")
    add("--out", type=Path, required=True, help="safetensors file to write (half precision)")
    add("--image-size", type=whole_number, default=32, help="height and width of images, in pixels")
    add("--patch-size", type=whole_number, default=8, help="height and width of a patch in pixels")
    add("--dim", type=whole_number, default=128, help="width of the network")
    add("--depth", type=whole_number, default=8, help="number of layers")
    add("--heads", type=whole_number, default=4, help="attention heads in each layer")
    add("--epochs", type=whole_number, default=28, help="passes over the training images")
    add("--batch-size", type=whole_number, default=256, help="images in each training step")
    add("--lr", type=number, default=3e-3, help="peak learning rate")
    add("--weight-decay", type=number, default=0.05, help="weight decay; zero for biases and norms")
    add("--optimizer", choices=["muon", "adamw"], default="muon", help="optimizer of the block matrices")
    add("--held-out", type=whole_number, default=2000, help="images kept for the reported accuracy")
    add("--seed", type=partial(whole_number, least=0), default=0, help="seed of weights, split and order")
    add("--compile", action=argparse.BooleanOptionalAction, default=True, help="use torch.compile")
    add("--max-steps", type=whole_number, help="stop after so many steps and write nothing, to try a recipe")
    return Settings(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, 2 for an `InputError`."""
    try:
        pretrain(parse(argv))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
