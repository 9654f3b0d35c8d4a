"""The model card of a subnet, by the card classes of ``huggingface_hub``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nas_peft.deployment.architecture_drawing import drawn
from nas_peft.deployment.form import MADE_IN_PYTHON, loading_line
from nas_peft.settings.metric import LABELS, SEED_FIELDS, Metric
from nas_peft.training.share_interval import share_interval
from search_spaces import count_params
from supernet import DEFAULT_BACKBONE, Subnet

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

LICENSE_UNKNOWN = "unknown"
"""The licence of a card for which none was given."""
MOST_CLASSES = 50
SPLITS = {"val_accuracy": "val", "test_accuracy": "test"}
"""The measured accuracies, and the split of each."""


def model_card(subnet: Subnet, file: str, license: str) -> ModelCard:
    """The card of a folder that holds ``subnet`` in ``file``.

    Its head is read by the hub: licence, base model, tags and test accuracy. Its text has the data set, the
    backbone, the architecture, the recipe, and the accuracies with 95% intervals. Nothing is asked of the
    network.
    """
    from huggingface_hub import ModelCard, ModelCardData

    name = _dataset(subnet)
    results = _eval_results(subnet, name)
    data = ModelCardData(
        license=license,
        library_name="timm" if subnet.changed_backbone else "nas-peft",
        pipeline_tag="image-classification",
        tags=_tags(subnet),
        base_model=hub_name(subnet),
        datasets=_hub_dataset(subnet),
        metrics=["accuracy"] if results else None,
        model_name=f"{subnet.backbone.name} on {name}" if results else None,
        eval_results=results or None,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_text(subnet, file, name, license)))


def hub_name(subnet: Subnet) -> str | None:
    """The backbone's name on the hub; ``None`` where its weights are not from there."""
    found: Mapping[str, Any] = getattr(subnet.backbone.model, "pretrained_cfg", None) or {}
    hub = found.get("hf_hub_id")
    if not hub or subnet.backbone.weights != "timm":
        return None
    if not hub.endswith("/"):
        return str(hub)
    tag = f".{found['tag']}" if found.get("tag") else ""
    return f"{hub}{found['architecture']}{tag}"


def _tags(subnet: Subnet) -> list[str]:
    efficient = () if subnet.changed_backbone else ("parameter-efficient-fine-tuning",)
    return ["image-classification", "timm", *efficient, "nas-peft"]


def _text(subnet: Subnet, file: str, name: str, license: str) -> Iterator[str]:
    backbone, training = subnet.backbone, subnet.training
    changed = subnet.changed_backbone
    yield f"# {backbone.name} on {name}\n"
    if changed:
        yield (
            f"A Vision Transformer whose own weights were trained by `nas-peft`. The file `{file}` holds all "
            f"of them ({backbone.params:,} parameters) and the head, by timm's names.\n"
        )
    else:
        modules = count_params(subnet.architecture, backbone.shape)
        yield (
            f"Small modules and a head for a frozen Vision Transformer, found and trained by `nas-peft`: "
            f"{modules:,} parameters in modules and {subnet.params - modules:,} in the head, beside "
            f"{backbone.params:,} frozen ones. The file `{file}` holds the modules and the head alone.\n"
        )
    yield "## Use\n"
    yield "```python"
    yield from _timm_use(subnet) if changed else _subnet_use(subnet, file)
    yield "```\n"
    if not changed and backbone.weights in MADE_IN_PYTHON:
        yield "The weights of the backbone were made in Python: `backbone` is that model.\n"
    elif not changed and backbone.weights != "timm":
        yield f"The backbone's weights are those of the file `{backbone.weights}`: give its path there.\n"
    yield "## Data set\n"
    record = training.get("dataset", {})
    counts = record.get("counts", {})
    parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    images = f": {parts} images" if parts else ""
    yield f"{name}{images}. {len(subnet.classes)} classes: {_classes(subnet)}.\n"
    for part, how in record.get("splits", {}).items():
        yield f"- {part}: {how}"
    yield "\n## Backbone\n"
    if backbone.name.startswith("local-dir:"):
        origin = "of a folder that is not published here"
        origin += "" if changed else " and has to be where this name says"
    else:
        origin = "which ships with nas-peft" if backbone.name == DEFAULT_BACKBONE else "of timm"
    state = "whose weights the training began with" if changed else "frozen"
    yield f"`{backbone.name}` {origin}, {state}; SHA-256 of these weights `{backbone.digest}`.\n"
    own = (getattr(backbone.model, "pretrained_cfg", None) or {}).get("license")
    yield f"Licence of the backbone by timm's record: {own or 'not recorded'}.\n"
    yield "## Architecture\n"
    yield "One character for each layer, from input to output: its height is the size of the module.\n"
    yield f"```text\n{drawn(subnet.architecture)}\n```\n"
    yield "## Recipe\n"
    yield from _recipe(training)
    yield "\n## Metrics\n"
    yield from _metrics(subnet)
    yield "## Licence\n"
    if license == LICENSE_UNKNOWN:
        yield "Not chosen yet. It has to suit the licences of the backbone and of the images."
    else:
        yield f"{license}"
    yield ""


def _subnet_use(subnet: Subnet, file: str) -> Iterator[str]:
    yield "import nas_peft\nfrom huggingface_hub import hf_hub_download\nfrom PIL import Image\n"
    line = loading_line(subnet, f'hf_hub_download("USER/NAME", "{file}")')
    yield f"subnet = {line}"
    yield 'probabilities = subnet.probabilities([Image.open("photo.jpg")])'


def _timm_use(subnet: Subnet) -> Iterator[str]:
    yield "import timm\nfrom PIL import Image, ImageOps\n"
    if subnet.backbone.name == DEFAULT_BACKBONE:
        yield "import supernet  # of nas-peft: registers the backbone with timm\n"
    yield 'model = timm.create_model("hf-hub:USER/NAME", pretrained=True).eval()'
    yield "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"
    scale = "" if subnet.temperature is None else f" / {subnet.temperature:.4g}"
    yield 'photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")  # upright, as in training'
    yield "logits = model(transform(photo)[None])"
    yield f"probabilities = (logits{scale}).softmax(-1)"


def _classes(subnet: Subnet) -> str:
    shown = ", ".join(subnet.classes[:MOST_CLASSES])
    more = len(subnet.classes) - MOST_CLASSES
    return f"{shown} and {more} more" if more > 0 else shown


def _recipe(training: Mapping[str, Any]) -> Iterator[str]:
    """The recipe of the training, of the first of an average's members."""
    of: Mapping[str, Any] = training
    if "mean_of" in training:
        of = training["mean_of"][0]
        yield f"The mean of the weights of {len(training['mean_of'])} trainings, of which the first:\n"
    elif "alpha" in training and "training" in training:
        of = training["training"]
        yield f"WiSE-FT: the point {training['alpha']:g} from before this training (0) to its end (1):\n"
    if training.get("weights") == "inherited":
        yield "The weights are inherited from the supernet and were not trained further."
        return
    recipe = of.get("recipe")
    if not recipe:
        yield "Not recorded."
        return
    for key, value in recipe.items():
        yield f"- {key.replace('_', ' ')}: {value}"
    if "seed" in of:
        yield f"- seed: {of['seed']}"
    version = training.get("nas_peft")
    if version:
        yield f"- nas-peft: {version}"


def _metrics(subnet: Subnet) -> Iterator[str]:
    rows = list(_accuracies(subnet))
    if rows:
        yield "| split | images | accuracy % | 95% interval |"
        yield "|---|---|---|---|"
        for split, images, accuracy in rows:
            low, high = share_interval(round(accuracy * images), images)
            interval = f"{100 * low:.1f} to {100 * high:.1f}" if images else "not known"
            yield f"| {split} | {images or 'not known'} | {100 * accuracy:.1f} | {interval} |"
        yield ""
    else:
        yield "None recorded.\n"
    yield from _by_metric(subnet)
    if protocol := subnet.metrics.get("protocol"):
        yield f"{protocol}\n"
    if subnet.temperature is not None:
        divides = "divide" if subnet.changed_backbone else "`Subnet.probabilities` divides"
        yield (
            f"Probabilities are calibrated: {divides} the logits by the temperature "
            f"{subnet.temperature:.3f}, which was fitted to the validation images.\n"
        )


def _by_metric(subnet: Subnet) -> Iterator[str]:
    """The metric that decided in the run, with its scores, where that is not accuracy."""
    metric: Metric | None = subnet.metrics.get("metric")
    if metric not in LABELS:
        return
    scores = [(part, subnet.metrics.get(f"{part}_{SEED_FIELDS[metric]}")) for part in ("val", "test")]
    said = " and ".join(
        f"{score:.3f} on {part}" if metric == "log-loss" else f"{100 * score:.1f}% on {part}"
        for part, score in scores
        if score is not None
    )
    yield f"The run decided by {LABELS[metric]}{f': {said}' if said else ''}.\n"


def _accuracies(subnet: Subnet) -> Iterator[tuple[str, int, float]]:
    """Split, number of its images (0 where unknown) and accuracy of each measurement."""
    counts = subnet.training.get("dataset", {}).get("counts", {})
    for key, split in SPLITS.items():
        if (accuracy := subnet.metrics.get(key)) is not None:
            yield split, int(counts.get(split, 0)), float(accuracy)


def _eval_results(subnet: Subnet, name: str) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type=name,
            dataset_name=name,
            dataset_split=split,
            metric_type="accuracy",
            metric_name=f"accuracy ({split})",
            metric_value=accuracy,
        )
        for split, _, accuracy in _accuracies(subnet)
        if split == "test"
    ]


def _dataset(subnet: Subnet) -> str:
    """The name of the data set, without the folders above it."""
    spec = str(subnet.training.get("dataset", {}).get("spec", ""))
    return (spec if _hub_dataset(subnet) else PurePath(spec).name) or "an unnamed data set"


def _hub_dataset(subnet: Subnet) -> str | None:
    """The name of a data set on the hub, by which timm read it."""
    prefix, _, name = str(subnet.training.get("dataset", {}).get("spec", "")).partition("/")
    return name if prefix in ("hfds", "hfids") and name else None
