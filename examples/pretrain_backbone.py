"""Pretrain a small Vision Transformer on a folder or a tar of images, one directory per class.

This is the script that made the backbone shipped with nas-peft::

    python examples/pretrain_backbone.py --data tiny_imagenet_32.tar --out vit_micro_patch8_32.safetensors

With the defaults (30 epochs of 98,000 images of 32 x 32 pixels, 200 classes) it takes about 75 minutes
on two CPU cores. Progress is one line an epoch; the state is saved after every epoch, and the same
command goes on from it after a kill.

Recipe: supervised cross-entropy with label smoothing, horizontal flips and shifts of up to ``size / 8``
pixels drawn for each image, linear warm-up and linear decay to zero, gradients clipped at norm 1. Matrices
inside the blocks are updated by Muon (https://kellerjordan.github.io/posts/muon/; torch >= 2.9), everything
else by AdamW; ``--optimizer adamw`` uses AdamW throughout. ``--held-out`` images, drawn from the seed, are
never trained on and give the reported accuracy.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

IMAGE_SUFFIXES = {".jpeg", ".jpg", ".png", ".bmp", ".webp"}


def encoded_images(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield ``(class name, encoded image)``: the class is the name of the directory that holds the file."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            yield path.parent.name, path.read_bytes()
        return
    with tarfile.open(source) as tar:
        for member in tar:
            path = Path(member.name)
            if member.isfile() and path.suffix.lower() in IMAGE_SUFFIXES:
                stream = tar.extractfile(member)
                assert stream is not None
                yield path.parent.name, stream.read()


def load_images(source: Path, size: int) -> tuple[Tensor, Tensor, list[str]]:
    """Decode every image once: uint8 images (N, 3, size, size), labels (N,), class names in label order."""
    images, names = [], []
    for name, data in encoded_images(source):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        images.append(np.asarray(image))
        names.append(name)
    if not images:
        raise SystemExit(f"error: no images in {source}; expected a folder or tar with one directory per class")
    classes = sorted(set(names))
    index = {name: i for i, name in enumerate(classes)}
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.tensor([index[name] for name in names]), classes


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


def optimizers(model: VisionTransformer, kind: str, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """AdamW for all, or Muon for the block matrices (its update scaled to AdamW's) and AdamW for the rest."""
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks.") and p.ndim == 2]
    chosen = {id(p) for p in matrices} if kind == "muon" else set()
    rest = [p for p in model.parameters() if id(p) not in chosen]
    decayed = [p for p in rest if p.ndim >= 2]
    plain = [p for p in rest if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    result: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)]
    if kind == "muon":
        result.append(
            torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return result


@torch.inference_mode()
def accuracy(model: VisionTransformer, images: Tensor, labels: Tensor, batch: int = 500) -> float:
    """Fraction of uint8 images (N, 3, S, S) classified correctly."""
    model.eval()
    hits = sum(
        int((model(x.float() / 127.5 - 1.0).argmax(-1) == y).sum())
        for x, y in zip(images.split(batch), labels.split(batch), strict=True)
    )
    model.train()
    return hits / len(labels)


def write_atomically(path: Path, write: object) -> None:
    partial = path.with_name(path.name + ".partial")
    write(partial)  # type: ignore[operator]
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or tar: class/name.jpg")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write (half precision)")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--patch-size", type=int, default=8)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    parser.add_argument("--held-out", type=int, default=2000, help="images kept for the reported accuracy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--max-steps", type=int, help="stop after so many steps (to try a recipe)")
    args = parser.parse_args()

    images, labels, classes = load_images(args.data, args.image_size)
    order = torch.from_numpy(np.random.default_rng(args.seed).permutation(len(labels)))
    held_out, train = order[: args.held_out], order[args.held_out :]
    print(f"{len(train)} training and {len(held_out)} held-out images of {len(classes)} classes", flush=True)

    with torch.random.fork_rng(devices=[]):  # timm initialises from torch's global stream
        torch.manual_seed(args.seed)
        model = VisionTransformer(
            img_size=args.image_size, patch_size=args.patch_size, embed_dim=args.dim, depth=args.depth,
            num_heads=args.heads, num_classes=len(classes), class_token=False, global_pool="avg", fc_norm=False,
        )  # fmt: skip
    steps_per_epoch = len(train) // args.batch_size
    total = args.epochs * steps_per_epoch
    warmup = max(1, total // 20)
    chosen = optimizers(model, args.optimizer, args.lr, args.weight_decay)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y, label_smoothing=0.1)

    step_loss = torch.compile(loss_of) if args.compile else loss_of
    state_file = args.out.with_name(args.out.name + ".state.pt")
    history: list[dict[str, float]] = []
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(chosen, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        history = state["history"]
        print(f"going on after epoch {len(history)}", flush=True)

    for epoch in range(len(history), args.epochs):
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(args.seed * 100_003 + epoch)
        shuffled = train[torch.randperm(len(train), generator=generator)]
        losses = []
        for i in range(steps_per_epoch):
            step = epoch * steps_per_epoch + i
            scale = min((step + 1) / warmup, (total - step) / max(1, total - warmup))
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = args.lr * scale
            batch = shuffled[i * args.batch_size : (i + 1) * args.batch_size]
            x = augment(images[batch], args.image_size // 8, generator)
            loss = step_loss(x, labels[batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in chosen:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
            if args.max_steps and step % 20 == 19:
                print(f"step {step + 1} loss {torch.stack(losses[-20:]).mean():.3f}", flush=True)
            if args.max_steps and step + 1 >= args.max_steps:
                print(f"{time.perf_counter() - started:.0f} s, held-out {accuracy(model, images[held_out], labels[held_out]):.4f}")
                return
        row = {
            "epoch": epoch + 1,
            "loss": float(torch.stack(losses).mean()),
            "held_out_accuracy": accuracy(model, images[held_out], labels[held_out]),
            "seconds": time.perf_counter() - started,
        }
        history.append(row)
        print(json.dumps(row), flush=True)
        state = {
            "model": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in chosen],
            "history": history,
        }
        write_atomically(state_file, lambda path: torch.save(state, path))  # noqa: B023

    metadata = {
        "classes": json.dumps(classes),
        "recipe": json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()} | {"data": args.data.name, "out": args.out.name}),
        "history": json.dumps(history),
    }
    half = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    write_atomically(args.out, lambda path: save_file(half, path, metadata=metadata))
    model.load_state_dict({name: value.float() for name, value in half.items()})
    print(f"held-out accuracy in half precision: {accuracy(model, images[held_out], labels[held_out]):.4f}")


if __name__ == "__main__":
    main()
