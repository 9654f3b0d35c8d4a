"""The event of a separate training that has ended."""

from nas_peft.training.scored_training import scored_training
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from search_spaces import Architecture
from supernet import Curve, Execution, Recipe

CHOICES = {
    "augmentation": "crop",
    "class_balance": "weighted",
    "weight_decay": 0.01,
    "drop_path": 0.1,
    "module_dropout": 0.2,
    "module_scale": 4.0,
    "label_smoothing": 0.05,
    "start": "inherited",
}


def test_it_has_the_recipe_of_the_training():
    training = Training(
        name="lora",
        method="lora",
        architecture=Architecture.empty(2),
        recipe=Recipe(3, 0.02, **CHOICES),  # type: ignore[arg-type]
        head=None,
        seed=1,
        on="train",
        execution=Execution(),
    )
    record = TrainingRecord(training, Curve([1.0, 0.5, 0.25], 60, 1.0), None)
    fields = scored_training(record, "LoRA", eligible=True, found=False).fields
    assert fields.items() >= (CHOICES | {"epochs": 3, "lr": 0.02, "seed": 1, "on": "train"}).items()
    assert fields["train_losses"] == [1.0, 0.5, 0.25]
