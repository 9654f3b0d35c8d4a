"""A search as a classifier in the style of scikit-learn."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from nas_peft.data.decoding import pixel_limit
from nas_peft.data.home_folder import expanded
from nas_peft.data.source import Reading
from nas_peft.evaluation.labelled_images import LabelledImages, logits_of
from nas_peft.library.image_input import (
    FORMS,
    Images,
    as_sequence,
    class_names,
    is_one_path,
    opened,
    write_table,
)
from nas_peft.library.jobs import search
from nas_peft.machine.ray_session import RayOptions
from nas_peft.run.config_file import read_config
from nas_peft.run.results import SearchResult
from nas_peft.settings.search_config import SearchConfig
from nas_peft.settings.training_config import DEFAULT_BACKBONE
from search_spaces import InputError
from supernet import Subnet, load_subnet, save_subnet, write_atomically

SUBNET, SETTINGS = "subnet.safetensors", "classifier.json"
"""The files of a saved classifier."""
CONFIG = "config.yaml"
"""The file of a run folder that has its options."""
_READING = ("layout", "domains", "data_root", "skip_bad_images", "max_pixels")
"""Options that say how a folder is read."""


class PeftSearchClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Image classifier whose `fit` searches the best small modules for the images, and trains them.

    `fit` does what `nas_peft.search` does, on the same protocol: of the images a fifth is held out as a test
    set, and a fifth of the rest for validation, unless ``X`` is a folder that has such parts. So the measured
    accuracy is in ``result_``, without further images. ``X`` is

    - a folder or a table, as ``nas-peft search --dataset`` takes it, with ``y=None``;
    - a list of image files, or of PIL images;
    - an array of shape (N, H, W, 3) in uint8.

    ``y`` are labels of any type that numpy can sort.

    Args:
        time: time for the whole of `fit`, such as ``"20m"``, or ``"auto"`` for what the data deserve, at most
            an hour; ``None`` for no plan: ``options`` then say how to train and search.
        budget: most trainable parameters of the modules: ``"500k"``, ``"0.75%"`` of the backbone; by default
            the plan's, and 0.75% without a time.
        backbone: name of a timm ViT. The default is a small one, for trying the tool.
        backbone_weights: weights file instead of the backbone's own.
        image_size: image size in pixels, such as ``"48"`` or ``"32x48"``; by default the backbone's own.
        random_state: seed of splits, search and trainings; a whole number from 0.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.
        out: folder that keeps the run, in ``out/run``, and images that were given in memory, in
            ``out/images``; by default both are removed at the end of `fit`. With it, a `fit` that was stopped
            resumes.
        options: other options of `nas_peft.search` by name, such as
            ``{"epochs": 100, "lr_grid": "0.3,1,3"}``.

    Attributes:
        classes_: the labels, sorted; `predict_proba` has its columns in this order.
        subnet_: the trained `Subnet`.
        result_: the `SearchResult` with all measurements; ``None`` after `load`.
    """

    classes_: NDArray[Any]
    subnet_: Subnet
    result_: SearchResult | None
    _names: tuple[str, ...]
    """The subnet's name of each of ``classes_``."""

    def __init__(
        self,
        *,
        time: str | None = "auto",
        budget: str | None = None,
        backbone: str = DEFAULT_BACKBONE,
        backbone_weights: str | Path | None = None,
        image_size: str | None = None,
        random_state: int = 0,
        device: str = "auto",
        out: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.time = time
        self.budget = budget
        self.backbone = backbone
        self.backbone_weights = backbone_weights
        self.image_size = image_size
        self.random_state = random_state
        self.device = device
        self.out = out
        self.options = options

    def fit(
        self, X: Images, y: ArrayLike | None = None, *, ray_options: RayOptions | None = None
    ) -> PeftSearchClassifier:
        """Search and train on the images ``X`` with the labels ``y``; the class describes both.

        ``ray_options`` are the Ray to use, and the resources of each training. Raises `InputError` for a
        mistake in the parameters, images or labels, before anything is trained.
        """
        kept = nullcontext(str(expanded(self.out))) if self.out is not None else tempfile.TemporaryDirectory()
        if is_one_path(X):
            if y is not None:
                raise InputError("X is a folder, whose class folders are the labels, and y is given; omit y")
            given = None
        else:
            images = as_sequence(X)
            given = _Labels.of(y, len(images))
        self._config(str(X) if given is None else "images.csv")  # mistakes come before files are written
        with kept as folder:
            place = Path(folder)
            dataset = X if given is None else write_table(images, given.texts(), place / "images")
            config = self._config(str(dataset))
            result = search(config, place / "run", device=self.device, ray_options=ray_options)
            subnet = load_subnet(place / "run" / SUBNET, backbone_weights=self.backbone_weights)
        self.subnet_, self.result_ = subnet, result
        self.classes_ = np.array(subnet.classes) if given is None else given.classes
        self._names = subnet.classes if given is None else given.names
        return self

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
        """Calibrated probabilities of the classes, shape (N, number of classes), in float32.

        A folder stands for its image files, sorted by path. Files may have as many pixels as in `fit`
        (``max_pixels`` of ``options``). Raises `InputError` for anything but images, and ``NotFittedError``
        before `fit`.
        """
        check_is_fitted(self)
        with self._pixel_limit():
            probabilities = self.subnet_.probabilities(opened(as_sequence(X)))
        found: NDArray[np.float32] = probabilities.numpy()[:, self._columns()]
        return found

    def predict(self, X: Images) -> NDArray[Any]:
        """The most probable label of each image, shape (N,); see `predict_proba`."""
        probabilities = self.predict_proba(X)  # says first if nothing is fitted
        found: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return found

    def score(self, X: Images, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy on the images ``X`` with the labels ``y``, a fraction.

        Without ``y``, ``X`` is a folder of class folders or a table, read as `fit` reads it (``options``); of
        one that has a test set, and of the folder that was fitted, the test set counts.
        """
        check_is_fitted(self)
        if y is not None:
            accuracy: float = super().score(X, y, sample_weight)
            return accuracy
        if not is_one_path(X):
            raise InputError("y is missing; give the labels of the images, or a folder of class folders as X")
        read = self._config(str(X))
        with pixel_limit(read.max_pixels):
            images = LabelledImages.of(
                self.subnet_,
                str(X),
                root=read.data_root,
                reading=Reading(read.layout, read.domains),
                skip_bad_images=read.skip_bad_images,
            )
            pairs = list(logits_of(self.subnet_, images))
        right = np.array([float(int(logits.argmax()) == item.label) for item, logits in pairs])
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        return float(np.average(right, weights=weights))

    def save(self, folder: str | Path) -> None:
        """Write the trained weights and the parameters to ``folder``: two files, without a pickle.

        ``subnet.safetensors`` is a subnet file, which every command of nas-peft reads. Labels must be
        numbers, texts or truth values. Raises `InputError` for other labels, and for a folder that has files
        of something else.
        """
        check_is_fitted(self)
        place = expanded(folder)
        if place.exists() and (not place.is_dir() or {p.name for p in place.iterdir()} - {SUBNET, SETTINGS}):
            raise InputError(f"'{place}' is no empty folder, and no classifier is saved there; give another")
        kind = self.classes_.dtype.kind
        if kind not in "biufU" and not all(isinstance(label, str) for label in self.classes_):
            raise InputError(
                f"labels are of the type {type(self.classes_[0]).__name__}, which has no form in JSON; save "
                "subnet_ with supernet.save_subnet, or fit with numbers or texts"
            )
        settings = {
            "parameters": {k: _in_json(v) for k, v in self.get_params().items()},
            "classes": self.classes_.tolist(),
            "dtype": "object" if kind == "O" else self.classes_.dtype.str,
            "names": list(self._names),
        }
        text = json.dumps(settings, indent=1)
        place.mkdir(parents=True, exist_ok=True)
        save_subnet(self.subnet_, place / SUBNET)
        write_atomically(place / SETTINGS, f"{text}\n".encode())

    @classmethod
    def load(cls, path: str | Path, *, backbone_weights: str | Path | None = None) -> PeftSearchClassifier:
        """The classifier that `save` wrote to a folder, ready to predict on the CPU.

        ``path`` may also be a subnet file, or the run folder of ``nas-peft search``; labels are then the
        names of the classes, and folders are read as the run has read its own. ``backbone_weights`` is the
        backbone's weights file, by default the one that was given to the classifier. Raises `InputError` for
        anything else, and for a damaged file.
        """
        place = expanded(path)
        file = place / SUBNET if place.is_dir() else place
        settings = _read_settings(place / SETTINGS) if (place / SETTINGS).is_file() else None
        if not file.is_file():
            raise InputError(
                f"no classifier at '{path}'; give a folder by save, a run folder, or a subnet file"
            )
        found = cls(**settings["parameters"]) if settings else cls()
        if backbone_weights is not None:
            found.set_params(backbone_weights=backbone_weights)
        found.subnet_ = load_subnet(file, backbone_weights=found.backbone_weights)
        found.result_ = None
        if settings:
            found.classes_, found._names = settings["classes"], tuple(settings["names"])
        else:
            read = read_config(place / CONFIG) if (place / CONFIG).is_file() else {}
            defaults = {name: SearchConfig.model_fields[name].default for name in _READING}
            options = {n: read[n] for n, default in defaults.items() if read.get(n, default) != default}
            found.set_params(backbone=found.subnet_.backbone.name, options=options or None)
            found.classes_, found._names = np.array(found.subnet_.classes), found.subnet_.classes
        if sorted(found._names) != sorted(found.subnet_.classes):
            raise InputError(f"'{place}' has the classes of another subnet; give the folder as save wrote it")
        return found

    def _config(self, dataset: str) -> SearchConfig:
        """The configuration of the search by the parameters."""
        if not isinstance(self.random_state, (int, np.integer)):
            raise InputError(f"random_state is {self.random_state!r}; give a whole number from 0")
        named = {
            "dataset": dataset,
            "time": self.time,
            "budget": None if self.budget is None else str(self.budget),
            "backbone": self.backbone,
            "backbone_weights": self.backbone_weights,
            "image_size": None if self.image_size is None else str(self.image_size),
            "seed": int(self.random_state),
        }
        options = dict(self.options or {})
        if twice := sorted(set(named) & set(options)):
            name = "random_state" if twice[0] == "seed" else twice[0]
            raise InputError(
                f"options has '{twice[0]}', which is given as "
                + ("X" if twice[0] == "dataset" else f"the parameter {name}")
                + "; leave it out of options"
            )
        given = {name: value for name, value in named.items() if value is not None}
        return SearchConfig.of(**given, **options)

    def _pixel_limit(self) -> AbstractContextManager[None]:
        given = {name: value for name, value in (self.options or {}).items() if name == "max_pixels"}
        return pixel_limit(SearchConfig.of(dataset="images.csv", **given).max_pixels)

    def _columns(self) -> list[int]:
        """Of each label the place of its class among the subnet's."""
        return [self.subnet_.classes.index(name) for name in self._names]

    def __sklearn_tags__(self) -> Tags:
        """Images are no tables of numbers: shape and values are checked here, not by scikit-learn."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        tags.non_deterministic = False
        return tags


@dataclass(frozen=True, eq=False)
class _Labels:
    """The labels of images: sorted ``classes``, their ``names`` in a table, and the place of each label."""

    classes: NDArray[Any]
    names: tuple[str, ...]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, y: ArrayLike | None, images: int) -> _Labels:
        """The labels ``y`` of a number of images. Raises `InputError` for labels that cannot be used."""
        if y is None:
            raise InputError("y is missing; give a label for each image, or a folder of class folders as X")
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != images:
            raise InputError(
                f"there are {images} images, and labels of shape {labels.shape}; give a label for each"
            )
        if not images:
            raise InputError(f"there are no images; {FORMS}")
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise InputError("a label is not a finite number; give a class for each image")
        try:
            classes, places = np.unique(labels, return_inverse=True)
        except TypeError as error:
            raise InputError(f"labels cannot be sorted ({error}); give labels of one type") from error
        return cls(classes, class_names(classes.tolist()), places)

    def texts(self) -> list[str]:
        """The name of each image's class."""
        return [self.names[place] for place in self.places]


def _in_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _in_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_in_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        wanted = {"parameters": dict, "classes": list, "dtype": str, "names": list}
        if not all(isinstance(settings[name], kind) for name, kind in wanted.items()):
            raise ValueError("an entry is of another type")
        classes = np.array(settings["classes"], dtype=settings["dtype"])
        if classes.tolist() != settings["classes"] or len(classes) != len(settings["names"]):
            raise ValueError("classes, their type and their names do not belong together")
        PeftSearchClassifier(**settings["parameters"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{file}' is damaged ({error}); give the folder as save wrote it") from error
    return settings | {"classes": classes}
