"""Values that nobody meant: what stands in place of a number, a name, a path or a list."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

TEXTS = (
    *("", " ", "-", "--", "abc", "None", "null", "true", "~", "*", "?", ".", "..", "../../..", "/", "//"),
    *("-1", "-0", "0", "1", "2", "+3", "1.5", "1e3", "1e999", "nan", "inf", "-inf", "NaN", "0x10", " 5 "),
    *(
        "1,",
        ",",
        "1,,2",
        "1,1",
        "1;2",
        "1 2",
        "[1]",
        "{}",
        "1%",
        "100%",
        "200%",
        "-1%",
        "0%",
        "%",
        "1k",
        "1kk",
    ),
    *("0.5", "0.999999", "1e-300", "-1e-9", "4e5M", "3M%", "inf%", "nan%", "infk", "१", "５", "½", "1_0"),
    *(
        "$HOME",
        "$(id)",
        "`id`",
        "C:\\x",
        "\\\\host\\x",
        "%s%n",
        "{0}",
        "[bold]x[/bold]",
        "\x1b[31mred",
        "a\tb",
    ),
    *("a\nb", "\u202e", "\u200b", "💥", "e\u0301", "\udc80", "\x7f", "'", '"', "';--", "a" * 300, "9" * 400),
    *(
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
        "/etc/passwd",
        "/root",
        "/nowhere/x",
        "x.yaml",
        "x.journal",
    ),
    *(
        "sqlite://",
        "sqlite:///",
        "http://[",
        "file:///etc/passwd",
        "torch/",
        "hfds/",
        "torch/nothing",
        "wds/",
    ),
    *(
        "default.yaml",
        "noah",
        "digits",
        "digit",
        "lora_rank",
        "lora_rank,",
        "all",
        "none",
        "all,none",
        "linear",
    ),
    *(
        "lora_rank,lora_rank",
        "full,full",
        "pretrained",
        "crop,crop",
        "1h",
        "0m",
        "-5m",
        "1e9h",
        "auto",
        "5 m",
    ),
)
"""Words of a command line; none of them asks for long work where it is allowed."""

NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0",
    "+3",
    "0.5",
    "0.999",
    "1.5",
    "1e-300",
    "-1e-9",
    "1e999",
    "nan",
    "inf",
)
"""Words that may be read as numbers, in or out of the range of an option."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " "),
    *("abc", "1", "-1", "nan", [], [[]], [0], [-1], [1, 1], [None], ["a"], [1.5], {}, {"a": 1}, {"sizes": 1}),
    *("a" * 2000, "\u202e", "💥", "../../etc/passwd", [0, 10**12], list(range(2000)), {"sizes": [0]}),
)
"""Values in a YAML or JSON file."""


def one_of(rng: np.random.Generator, values: Any) -> Any:
    """One of ``values``, each with the same probability."""
    return values[int(rng.integers(len(values)))]


def word_for(rng: np.random.Generator, kind: Any) -> str:
    """A word for an option of a type: mostly one that its type allows, or nearly."""
    allowed = [str(value) for value in get_args(kind) if isinstance(value, str)]
    if allowed and rng.random() < 0.5:
        return str(one_of(rng, (*allowed, allowed[0].upper(), allowed[0][:-1], f" {allowed[0]}")))
    if {int, float} & {kind, *get_args(kind)} and rng.random() < 0.8:
        return str(one_of(rng, NUMBERS))
    return str(one_of(rng, TEXTS))


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Bytes with a part cut off, changed, doubled, zeroed, or something put before them."""
    if not data:
        return b"\0"
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
    return (
        data[:at],
        data[:at] + bytes(rng.integers(0, 256, length).tolist()) + data[at + length :],
        data[:at] + data[at : at + length] * 3 + data[at:],
        data[:at] + bytes(length) + data[at + length :],
        b"\xef\xbb\xbf" + data,
        data + data,
        data[at:],
        data.replace(b"\n", b"\r\n"),
    )[int(rng.integers(8))]


def with_changed_node(rng: np.random.Generator, value: Any) -> Any:
    """A JSON-able value with one node, anywhere in it, replaced, removed, renamed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = one_of(rng, list(value))
        what = int(rng.integers(8))
        if what == 0:
            return {k: v for k, v in value.items() if k != key}
        if what == 1:
            return {**value, one_of(rng, ("", "a", "sizes", "lora_rank", "💥", "_")): value[key]}
        return {**value, key: with_changed_node(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at, what = int(rng.integers(len(value))), int(rng.integers(5))
        if what == 0:
            return value[:at] + value[at + 1 :]
        if what == 1:
            return [*value, value[at]]
        return [*value[:at], with_changed_node(rng, value[at]), *value[at + 1 :]]
    return one_of(rng, VALUES)
