"""Memory and time of a data set of 60,000 images, 9 GB when decoded at 224 pixels.

    python -m benchmarks.data_scale --folder /tmp/data_scale

Draws the images (JPEG files in class folders), and small sets in the forms of ``hfds/`` and ``wds/``. A
first process decodes them into a cache of its own and goes through linear probe, supernet, scoring with two
workers, and retrainings on two workers of Ray; a second one starts anew. Trainings take a few steps, on rows
spread over the whole file. The backbone is a ViT of 4 layers and width 64 with patches of 32 pixels, because
memory is measured and not learning. Private memory is read from ``/proc/PID/smaps_rollup``, of the
main process and all workers of Ray together. The folder is removed at the end, unless ``--keep``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import timm
import torch
from PIL import Image

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.data.cache_settings import FOLDER_VARIABLE
from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.rows import Row
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.scoring.ray_scorer import scoring
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.probe import probe
from nas_peft.stages.supernet import train_supernets
from nas_peft.training.ray_trainings import RayTrainings
from search_spaces import Architecture
from supernet import Backbone
from supernet.backbones import given_backbone

OUT = RESULTS / "data_scale.json"
CLASSES, DRAWN, SIDE, BATCH, DEPTH = 10, 64, 224, 64, 4
SEEN, SCORED = 512, 256
"""Images of the trainings, and of scoring and validation."""


def picture(number: int) -> bytes:
    """A JPEG file of a random pattern of 64 pixels, with its number as the seed."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).resize((DRAWN, DRAWN), Image.Resampling.BILINEAR).save(
        encoded, "JPEG", quality=85
    )
    return encoded.getvalue()


def draw(folder: Path, numbers: range) -> None:
    """Write pictures into class folders."""
    for number in numbers:
        (folder / f"class{number % CLASSES}" / f"{number:06}.jpg").write_bytes(picture(number))


def draw_folders(folder: Path, images: int) -> None:
    """Class folders of ``images`` pictures, drawn on two cores."""
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(draw, folder), [range(i, min(i + 500, images)) for i in range(0, images, 500)]))


def draw_shards(folder: Path, images: int) -> None:
    """A web data set of two splits, with 500 pictures in each shard."""
    splits: dict[str, Any] = {}
    for split, first, number in (("train", 0, images), ("validation", images, images // 4)):
        shards = []
        for start in range(first, first + number, 500):
            shards.append((f"{split}-{start:06}.tar", min(500, first + number - start)))
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(folder / shards[-1][0], "w") as shard:
                for image in range(start, start + shards[-1][1]):
                    for end, data in (("jpg", picture(image)), ("cls", str(image % CLASSES).encode())):
                        about = tarfile.TarInfo(f"{image:06}.{end}")
                        about.size = len(data)
                        shard.addfile(about, io.BytesIO(data))
        names, lengths = [name for name, _ in shards], [length for _, length in shards]
        about_split = {"name": split, "num_samples": number, "filenames": names, "shard_lengths": lengths}
        splits[split] = about_split
    (folder / "_info.json").write_text(json.dumps({"splits": splits}))


def draw_table(folder: Path, images: int) -> None:
    """A folder that the library ``datasets`` opens: Parquet files of pictures and labels."""
    import datasets
    import pyarrow
    from pyarrow import parquet

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=CLASSES)}
    )
    folder.mkdir(parents=True)
    for split, first, number in (("train", 0, images), ("validation", images, images // 4)):
        numbers = range(first, first + number)
        content = {
            "image": [{"bytes": picture(n), "path": None} for n in numbers],
            "label": [n % CLASSES for n in numbers],
        }
        # the library fingerprints a table by pickling it, which not every pyarrow allows
        table = pyarrow.Table.from_pydict(content, schema=features.arrow_schema)
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def backbone() -> Backbone:
    """The small ViT, with random weights from a fixed seed."""
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224",
        pretrained=False,
        num_classes=0,
        img_size=SIDE,
        patch_size=32,
        embed_dim=64,
        depth=DEPTH,
        num_heads=2,
    )
    return given_backbone(model, "vit of 4 layers and width 64, patches of 32 pixels", (SIDE, SIDE))


class Watch:
    """Reads the memory of this process and of all workers of Ray, twice a second, by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, Any]] = {}
        self._stage = ""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure seconds, and the most memory in bytes, of what is done within."""
        self.stages[name] = {"private": 0, "pss": 0, "largest": 0, "processes": []}
        self._stage, started = name, time.perf_counter()
        yield
        self._read()
        self.stages[name]["seconds"] = time.perf_counter() - started
        self._stage = ""

    def _watch(self) -> None:
        while not self._ends.wait(0.5):
            self._read()

    def _read(self) -> None:
        name = self._stage
        if not name:
            return
        each = {
            process: (called, *memory)
            for process, called in processes().items()
            if (memory := memory_of(process)) is not None
        }
        now = {
            "private": sum(private for _, private, _ in each.values()),
            "pss": sum(pss for _, _, pss in each.values()),
            "largest": max(private for _, private, _ in each.values()),
        }
        most = self.stages[name]
        if now["private"] > most["private"]:
            most["processes"] = [f"{called} {private / 1e6:.0f} MB" for called, private, _ in each.values()]
        most.update({key: max(most[key], value) for key, value in now.items()})


def processes() -> dict[int, str]:
    """This process and the workers of Ray that it has started, with what Ray calls them.

    Ray's own services are left out, also those that are called ``ray::...Agent``.
    """
    found = {os.getpid(): "main"}
    for child in psutil.Process().children(recursive=True):
        try:
            called = (child.cmdline() or [""])[0]
            if called.startswith("ray::") and not called.endswith("Agent"):
                found[child.pid] = called
        except psutil.Error:
            continue
    return found


def memory_of(process: int) -> tuple[int, int] | None:
    """Private and proportional bytes of a process; ``None`` if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    kilobytes = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines}
    return 1024 * (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]), 1024 * kilobytes["Pss"]


def run_of(dataset: str, root: Path | None, folder: Path, bars: StageBars) -> Run[SearchInputs]:
    """A run on a data set, with few epochs of everything."""
    config = SearchConfig.of(
        dataset=dataset,
        data_root=root,
        budget="5%",
        batch_size=BATCH,
        supernet_epochs=1,
        epochs=1,
        head_epochs=1,
        linear_epochs=1,
        linear_lr=1e-2,
        image_size=str(SIDE),
    ).on("cpu")
    inputs = SearchInputs.of_task(config, TaskInputs.of(config, backbone(), bars))
    return Run(inputs, RunFolder.open(folder, config), "cpu", bars, RayOptions("local", 1), 2)


def with_few(run: Run[SearchInputs], features: torch.Tensor) -> tuple[Run[SearchInputs], torch.Tensor]:
    """The run on few rows, spread over the whole file, with their features."""
    data, rng = run.inputs.dataset, torch.Generator().manual_seed(0)
    seen = torch.randperm(len(data.train), generator=rng)[:SEEN]
    scored = torch.randperm(len(data.val), generator=rng)[:SCORED]
    few = replace(data, train=data.train.take(seen), val=data.val.take(scored))
    rows = torch.cat([seen, len(data.train) + scored])
    return replace(run, inputs=replace(run.inputs, dataset=few)), features[rows]


def through_all_stages(dataset: str, root: Path | None, folder: Path, started: float) -> dict[str, Any]:
    """Seconds and memory of each stage, and seconds from the start of the process to the first step."""
    watch = Watch()
    with StageBars() as bars:
        with watch.stage("data"):
            run = run_of(dataset, root, folder, bars)
        with watch.stage("linear probe"):
            probed = probe(run)
        first_step = time.time() - started
        few, features = with_few(run, probed.features)
        with watch.stage("supernet"):
            supernets = train_supernets(few, features)
        with watch.stage("scoring"), scoring(few, supernets.folds) as scorer:
            subnets = [few.inputs.sampler.sample(np.random.default_rng(n)) for n in range(4)]
            scorer.score(0, np.arange(scorer.sizes[0]), subnets)
        rows = [
            Row("lora", "single", "subnet", Architecture.uniform(DEPTH, "lora_rank", 4)),
            Row("full", "baseline", "full", Architecture.empty(DEPTH)),
        ]
        trainings = [
            training
            for on in ("train", "train_val")
            for row in rows
            for training in row.trainings(few.inputs.config, probed.recipe, [0], on)
        ]
        with (
            watch.stage("retraining"),
            RayTrainings.of_run(few, few.inputs.for_trainings(features)) as trainer,
        ):
            records = trainer.run(trainings, lambda: None)
    failures = [record.failure for record in records if record.failure]
    assert not failures, failures
    counts = run.inputs.dataset.record["counts"]
    return {"counts": counts, "first_step_seconds": first_step, "stages": watch.stages}


def start_again(dataset: str, root: Path | None, folder: Path, started: float) -> dict[str, Any]:
    """Seconds from the start of a process to its first training step: data, features, head."""
    with StageBars() as bars:
        run = run_of(dataset, root, folder, bars)
        data = time.time() - started
        probe(run)
        return {"data_seconds": data, "first_step_seconds": time.time() - started}


def in_process(what: str, dataset: str, root: Path | None, folder: Path) -> dict[str, Any]:
    """The result of one of the functions above in a process of its own, with the cache in ``folder``."""
    # datasets of a folder are opened by its name, relative to the working directory
    found_in = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {FOLDER_VARIABLE: str(folder / "cache"), "PYTHONPATH": found_in}
    words = [what, dataset, str(root or ""), str(folder / f"run-{time.time():.0f}"), str(time.time())]
    command = [sys.executable, "-m", "benchmarks.data_scale", "--in-process", *words]
    done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(dataset: str, root: Path | None, folder: Path) -> dict[str, Any]:
    """A first start through all stages, and a second to the first step."""
    first = in_process("first", dataset, root, folder)
    return {"first": first, "second": in_process("second", dataset, root, folder)}


def run(argv: Sequence[str]) -> None:
    """Draw what is missing, measure, write and print. Raises `InputError`."""
    if argv[:1] == ["--in-process"]:
        what, dataset, root, out, started = argv[1:]
        work: Callable[..., dict[str, Any]] = through_all_stages if what == "first" else start_again
        print(json.dumps(work(dataset, Path(root) if root else None, Path(out), float(started))))
        return
    parser = StudyParser("data_scale", "Measure memory and starts on a data set of 9 GB.")
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="folder for images and cache, with 12 GB of room")
    add("--images", type=whole_number, default=60_000, help="images in class folders (%(default)s)")
    add("--small", type=whole_number, default=1_000, help="images of hfds/ and wds/ (%(default)s)")
    add("--keep", action="store_true", help="do not remove the folder at the end")
    add("--out", type=Path, default=OUT, help="JSON file of the result")
    args = parser.parse_args(argv)
    args.workers, args.device = 2, "cpu"
    folder: Path = args.folder.resolve()
    for name, write, number in (
        ("folders", draw_folders, args.images),
        ("wds", draw_shards, args.small),
        ("hfds", draw_table, args.small),
    ):
        if not (folder / name).exists():
            print(f"drawing {number:,} images for {name}", file=sys.stderr, flush=True)
            write(folder / name, number)
    sources: dict[str, tuple[str, Path | None]] = {
        "class folders": (str(folder / "folders"), None),
        "hfds/": ("hfds/hfds", folder / "hf_cache"),
        "wds/": ("wds/shards", folder / "wds"),
    }
    results = {}
    for name, (dataset, data_root) in sources.items():
        results[name] = measure(dataset, data_root, folder)
        print(sentence(name, results[name]), flush=True)
        write_result(args.out, {**environment(args), "sources": results}, indent=1)
    if not args.keep:
        shutil.rmtree(folder)


def sentence(name: str, found: dict[str, Any]) -> str:
    """The result of a source in a line."""
    stages, second = found["first"]["stages"], found["second"]
    most = ", ".join(f"{stage} {of['private'] / 1e9:.2f}" for stage, of in stages.items())
    return (
        f"{name}: private GB of all processes: {most}; second start: first step after "
        f"{second['first_step_seconds']:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(exit_status(run, None))
