"""Types of the options that jobs take as keywords: the fields of their configurations.

A list may be given as a list, or as the comma-separated text of the command line.
``nas-peft search --help`` says what each option means, and `SearchConfig` has the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class TrainingOptions(TypedDict, total=False):
    """Options that a search and a comparison without a search have in common."""

    dataset: str | Path
    layout: Literal["auto", "parts", "classes"]
    domains: bool
    data_root: str | Path | None
    shots: int | None
    skip_bad_images: bool
    drop_duplicates: bool
    max_pixels: int
    backbone: str
    backbone_weights: str | Path | None
    image_size: str | int | None
    budget: str | int
    count_head: bool
    seed: int
    seeds: int
    batch_size: int
    epochs: int | Sequence[int] | str
    augmentation: str | Sequence[str]
    class_balance: str | Sequence[str]
    label_smoothing: float
    lr: float
    full_lr: float
    bitfit_lr: float
    lr_grid: float | Sequence[float] | str
    early_stopping: bool
    halving: bool
    baselines: str | Sequence[str]
    allow_full: bool
    singles: str | Sequence[str] | None
    single_sizes: int
    soup: int
    average: int
    l2_sp: float
    head_epochs: int
    head_lr: float
    linear_epochs: int
    linear_lr: float | None
    weight_decay: float | Sequence[float] | str
    drop_path: float | Sequence[float] | str
    module_dropout: float | Sequence[float] | str
    module_scale: float | Sequence[float] | str
    recipe: str | None
    metric: Literal["accuracy", "balanced-accuracy", "macro-f1", "log-loss"]
    precision: Literal["auto", "fp32", "tf32", "bf16"]
    micro_batches: int
    checkpointing: bool
    pack: int | None


class SearchOptions(TrainingOptions, total=False):
    """Options of a search: the fields of `SearchConfig`."""

    time: str | None
    preset: Literal["fast", "standard", "thorough"] | None
    space: str | Path
    module_files: Sequence[str | Path]
    front_cost: Literal["params", "flops", "latency"]
    latency_batch_size: int
    front_budget: str | int | None
    supernet_epochs: int | Sequence[int] | str | None
    supernet_augmentation: str | Sequence[str] | None
    supernet_class_balance: str | Sequence[str] | None
    supernet_lr: float
    chooser: Literal["one-per-image", "one-path", "groups", "sandwich"]
    groups: int
    distil: bool
    folds: int
    searcher: str
    searcher_options: str
    generations: int
    population: int
    parents: int | None
    mutation_probability: float | None
    racing: bool
    objective: Literal["accuracy", "robust"]
    robust_margin: float
    retrain: int
    start: str | Sequence[str]
    inherited_epochs: int | Sequence[int] | str | None
    no_retrain: bool
    compile: bool
    data_parallel: int


class BaselinesOptions(TrainingOptions, total=False):
    """Options of a comparison without a search: the fields of `BaselinesConfig`."""
