"""Hostile run folders: files that are whole by their checksum, and say something that no run writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground
from benchmarks.faults.hostile.texts import damaged, one_of, with_changed_node
from nas_peft.run.config_file import read_config, write_config
from nas_peft.run.json_file import read_json, write_json


def hostile_run(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A run folder with a changed record, read by the commands that take a run."""
    copy = ground.here / "run"
    shutil.copytree(ground.run, copy)
    file = Path(one_of(rng, sorted(p for p in copy.rglob("*") if p.suffix in (".yaml", ".json", ".journal"))))
    if file.suffix == ".journal" or rng.random() < 0.2:
        file.write_bytes(damaged(rng, file.read_bytes()))
        about = f"{file.name}: damaged bytes"
    elif file.suffix == ".yaml":
        options: Any = with_changed_node(rng, read_config(file))
        write_config(file, yaml.safe_dump(options))
        about = f"{file.name}: another value"
    else:
        content: Any = with_changed_node(rng, read_json(file))
        text = json.dumps(content)
        if isinstance(content, dict) and "NaN" not in text and "Infinity" not in text:
            write_json(file, content)
        else:
            file.write_text(text)
        about = f"{file.name}: {text[:120]}"
    words = one_of(
        rng,
        (
            ["front", str(copy)],
            ["front", str(copy), "--export", str(ground.here / "x.safetensors"), "--device", "cpu"],
            ["compare", str(copy), str(ground.run), "--apart"],
            ["export", str(copy), "--to", "subnet", "--output", str(ground.here / "x.safetensors")],
        ),
    )
    return Hostile(about, words)
