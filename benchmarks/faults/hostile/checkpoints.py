"""Hostile subnet files and backbone weights: altered headers, tensors that do not fit, pickles."""

from __future__ import annotations

import json
import pickle  # noqa: TID251 - written here, to see that nothing reads it
import struct
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground, search_words
from benchmarks.faults.hostile.pictures import Executed
from benchmarks.faults.hostile.texts import damaged, one_of, with_changed_node
from supernet import content_digest, create_backbone

Tensors = dict[str, torch.Tensor]


def _changed(rng: np.random.Generator, tensors: Tensors) -> tuple[Tensors, str, bool]:
    """The tensors with one that does not fit, what it is, and whether no answer can be right then."""
    name = str(one_of(rng, sorted(tensors)))
    value = tensors[name].clone()
    if not value.numel():
        return tensors, "nothing", False
    what = str(
        one_of(rng, ("NaN", "infinity", "shape", "transposed", "type", "missing", "more", "scalar", "huge"))
    )
    flat = value.flatten()
    if what in ("NaN", "infinity"):
        flat[int(rng.integers(len(flat)))] = float("nan") if what == "NaN" else float("inf")
        return tensors | {name: flat.view_as(value)}, f"{what} in {name}", True
    if what == "missing":
        return {key: v for key, v in tensors.items() if key != name}, f"no {name}", False
    if what == "more":
        return tensors | {one_of(rng, ("a.b", "head", f"{name}.x")): value}, "one more tensor", False
    replaced = {
        "shape": torch.zeros(*value.shape[:-1], value.shape[-1] + 1),
        "transposed": value.flatten(),
        "type": value.to(torch.int32),
        "scalar": torch.tensor(1.0),
        "huge": value * 3e38,
    }[what]
    return tensors | {name: replaced.contiguous()}, f"{what} {name}", False


def with_metadata(data: bytes, text: dict[str, str]) -> bytes:
    """Safetensors bytes with other metadata, whether that is text or not."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length]) | {"__metadata__": text}
    packed = json.dumps(header).encode()
    packed += b" " * (-len(packed) % 8)
    return struct.pack("<Q", len(packed)) + packed + data[8 + length :]


def hostile_subnet(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A subnet file that any program may have written, given to predict, export, evaluate or serve."""
    executed, file = ground.here / "executed", ground.here / "subnet.safetensors"
    whole = ground.subnet.read_bytes()
    with safe_open(ground.subnet, framework="pt") as opened:
        metadata = dict(opened.metadata())
        tensors: Tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    how, must_fail, signed = int(rng.integers(10)), False, bool(rng.random() < 0.7)
    if how == 0:
        data, about = damaged(rng, whole), "damaged bytes"
        must_fail = data != whole
    elif how == 1:
        data, about, must_fail = pickle.dumps(Executed(executed)), "a pickle", True
    elif how == 2:
        changed = metadata | {str(one_of(rng, ("x" * 9, "format", "sha256", "💥"))): "y" * 10**6}
        data, about = with_metadata(whole, changed), "long metadata"
    elif how == 3:
        length = int(one_of(rng, (0, 1, 2**20, 2**40, 2**63 - 1)))
        data, about, must_fail = struct.pack("<Q", length) + whole[8:], f"header of {length} bytes", True
    elif how < 7:
        header: Any = with_changed_node(rng, json.loads(metadata["subnet"]))
        text = json.dumps(header)
        sums = {"sha256": content_digest(text, tensors)} if signed else {}
        data, about = save(tensors, metadata | {"subnet": text} | sums), f"header {text[:160]}"
        must_fail = not signed and header != json.loads(metadata["subnet"])
    else:
        wrong, about, must_fail = _changed(rng, tensors)
        sums = {"sha256": content_digest(metadata["subnet"], wrong)} if signed else {}
        data = save(wrong, metadata | sums)
        must_fail = must_fail or (not signed and about != "nothing")
    file.write_bytes(data)
    words = one_of(
        rng,
        (
            ["predict", "--json", str(file), str(ground.picture)],
            ["predict", "--json", str(ground.subnet), str(file), str(ground.picture)],
            ["evaluate", str(file), "--dataset", str(ground.images), "--part", "all", "--json"],
            ["export", str(file), "--to", "subnet", "--output", str(ground.here / "written.safetensors")],
            ["export", str(file), "--to", "merged", "--output", str(ground.here / "written.pth")],
        ),
    )
    return Hostile(about, words, must_fail=must_fail, forbidden=(executed,))


def hostile_backbone(rng: np.random.Generator, ground: Ground) -> Hostile:
    """Weights of the backbone that do not fit, are not finite, or are no weights."""
    executed = ground.here / "executed"
    tensors = {k: v.clone() for k, v in create_backbone("vit_micro_patch8_32").model.state_dict().items()}
    file = ground.here / str(
        one_of(rng, ("w.safetensors", "w.pth", "w.bin", "w", "model.safetensors.index.json"))
    )
    how, must_fail = int(rng.integers(8)), False
    if how < 3:
        wrong, about, must_fail = _changed(rng, tensors)
        data = save({key: value.contiguous() for key, value in wrong.items()})
        if rng.random() < 0.4:
            torch.save(wrong, file)
            data = file.read_bytes()
    elif how == 3:
        data, about = damaged(rng, save(tensors)), "damaged safetensors"
    elif how == 4:
        data, about, must_fail = pickle.dumps(Executed(executed)), "a pickle", True
    elif how == 5:
        torch.save({"model": tensors, "args": Executed(executed)}, file)
        data, about, must_fail = file.read_bytes(), "weights beside an object", True
    elif how == 6:
        torch.save(
            one_of(rng, ([1], {}, {"model": {}}, tensors["pos_embed"], {1: 2}, {"model": tensors})), file
        )
        data, about = file.read_bytes(), "other contents"
    else:
        data = one_of(
            rng, (b"", b"\0" * 99, b"{}", b"[]", b'{"weight_map": {"a": "../../etc/passwd"}}', b"PK\3\4")
        )
        about, must_fail = f"{data[:20]!r}", True
    if file.name.endswith(".json") and how == 7:
        data = one_of(
            rng, (data, b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {"a": ".."}}')
        )
    file.write_bytes(data)
    return Hostile(
        f"{file.name}: {about}",
        search_words(ground.images, ground.here / "run", {"backbone-weights": file}),
        must_fail=must_fail,
        forbidden=(executed,),
    )
