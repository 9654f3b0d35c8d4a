"""The network that holds every choice: frozen timm backbone, elastic modules, training, checkpoints."""

from supernet.architecture_batch import ArchitectureBatch
from supernet.atomic_file import write_atomically
from supernet.augmentation import AUGMENTATIONS, Augmenter
from supernet.backbones import DEFAULT_BACKBONE, Backbone, create_backbone, random_backbone
from supernet.checked_tensors import checked_bytes, checked_tensors, content_digest
from supernet.checkpoint import load_subnet, read_header, save_subnet
from supernet.choosers import Chooser, Constant, Groups, OnePath, OnePerImage, Sandwich, Step
from supernet.epoch_losses import NonFiniteLoss
from supernet.evaluation import Evaluation, evaluate
from supernet.execution import Execution
from supernet.learner import Curve
from supernet.modules import ElasticModule, register_elastic
from supernet.multi_task import MultiTaskModel, Prediction, Task
from supernet.pack import Pack
from supernet.packed_training import train_pack
from supernet.penalty import Penalty
from supernet.precision import Precision, default_precision
from supernet.preprocessing import Preprocessing
from supernet.recipe import Recipe
from supernet.rgb_image import UnsuitableImage, rgb_image
from supernet.scoring import score, shared_passes
from supernet.subnet import Subnet
from supernet.supernet import Supernet
from supernet.trainable import TRAINABLE_SETS, Trainable, TrainableSet, biases
from supernet.training import pooled_features, train

__all__ = [
    "AUGMENTATIONS",
    "DEFAULT_BACKBONE",
    "TRAINABLE_SETS",
    "ArchitectureBatch",
    "Augmenter",
    "Backbone",
    "Chooser",
    "Constant",
    "Curve",
    "ElasticModule",
    "Evaluation",
    "Execution",
    "Groups",
    "MultiTaskModel",
    "NonFiniteLoss",
    "OnePath",
    "OnePerImage",
    "Pack",
    "Penalty",
    "Precision",
    "Prediction",
    "Preprocessing",
    "Recipe",
    "Sandwich",
    "Step",
    "Subnet",
    "Supernet",
    "Task",
    "Trainable",
    "TrainableSet",
    "UnsuitableImage",
    "biases",
    "checked_bytes",
    "checked_tensors",
    "content_digest",
    "create_backbone",
    "default_precision",
    "evaluate",
    "load_subnet",
    "pooled_features",
    "random_backbone",
    "read_header",
    "register_elastic",
    "rgb_image",
    "save_subnet",
    "score",
    "shared_passes",
    "train",
    "train_pack",
    "write_atomically",
]
