"""Hostile search spaces and groups of data sets: a changed node, damaged bytes, or tricks of YAML."""

from __future__ import annotations

import numpy as np
import yaml

from benchmarks.faults.hostile.attempt import Hostile
from benchmarks.faults.hostile.ground import Ground, search_words
from benchmarks.faults.hostile.texts import damaged, one_of, with_changed_node

_GOOD = {
    "name": "mine",
    "about": "for one task",
    "kinds": {
        "lora_rank": {"sizes": [1, 2], "depth_fractions": [0.5, 1.0]},
        "prompt_tokens": {"sizes": [0, 1, 4]},
        "ssf": {"sizes": [0, 2, 4, 6]},
    },
}
_BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
    for last, name in zip("abcde", "bcdef", strict=True)
)
_TRICKS = (
    "!!python/object/apply:os.system ['touch executed']\n",
    "name: !!python/object/new:os.system ['touch executed']\nkinds: {}\n",
    _BOMB + "kinds: *f\nname: *e\n",
    "kinds: &k {lora_rank: *k}\n",
    "- - - -\n" * 50,
    "[" * 3000,
    "{a: " * 3000,
    "kinds: {lora_rank: {sizes: [0, 1]}}\nkinds: {ssf: {sizes: [0]}}\nname: twice\n",
    "name: a\n---\nname: b\n",
    "name: mine\nkinds:\n\tlora_rank: {sizes: [1]}\n",
    "name: 2001-01-01\nkinds: {lora_rank: {sizes: [0x10, 0o7, 1_0]}}\n",
    "name: mine\nkinds: {lora_rank: {sizes: !!set {1, 2}}}\n",
    "%YAML 9.9\n---\nname: mine\n",
    "\ufeffname: mine\nkinds: {lora_rank: {sizes: [0, 1]}}\n",
    "? [a, b]\n: c\n",
    "? {a: b}\n: c\n",
    "name: &a a\nkinds: {<<: *a}\n",
)


def hostile_space(rng: np.random.Generator, ground: Ground) -> Hostile:
    """A search in a space that is not as it should be, or a comparison with such groups."""
    file = ground.here / str(one_of(rng, ("space.yaml", "space.yml", "space", "[b]x.yaml")))
    how = float(rng.random())
    if how < 0.25:
        text = str(one_of(rng, _TRICKS))
        data = text.encode()
    elif how < 0.5:
        data = damaged(rng, yaml.safe_dump(_GOOD).encode())
    else:
        changed = with_changed_node(rng, _GOOD)
        data = yaml.safe_dump(changed, allow_unicode=bool(rng.random() < 0.5)).encode("utf-8", "replace")
    file.write_bytes(data)
    about = data[:200].decode("utf-8", "backslashreplace")
    executed = (ground.here / "executed",)
    if rng.random() < 0.2:
        command = ["compare", str(ground.run), "--groups", str(file)]
    else:
        command = search_words(ground.images, ground.here / "run", {"space": file})
    return Hostile(about, command, forbidden=executed)
