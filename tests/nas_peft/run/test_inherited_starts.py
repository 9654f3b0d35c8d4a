"""What trainings start from, by their name and their images."""

import torch

from nas_peft.run.inherited_starts import InheritedStarts


def number(value: float) -> dict[str, torch.Tensor]:
    return {"x": torch.full((1,), value)}


STARTS = InheritedStarts(
    train={"candidate-1": number(1), "lora-pruned": number(2)},
    train_val={"candidate-1": number(3)},
    without={"photo": {"candidate-1": number(4)}},
)


def of(starts: InheritedStarts, name: str, on: str) -> float | None:
    found = starts.of(name, on)
    return None if found is None else float(found["x"])


def test_final_trainings_start_from_what_has_seen_their_images_where_there_is_such():
    assert of(STARTS, "candidate-1", "train") == 1
    assert of(STARTS, "candidate-1", "train_val") == 3
    assert of(STARTS, "lora-pruned", "train_val") == of(STARTS, "lora-pruned", "train") == 2
    assert STARTS.of("candidate-2", "train") is None


def test_trainings_without_a_domain_start_from_what_has_not_seen_it():
    without = STARTS.of_domain("photo")
    assert of(without, "candidate-1", "train") == 4
    assert of(without, "lora-pruned", "train") == 2
    assert of(STARTS.of_domain("sketch"), "candidate-1", "train") == 1


def test_others_stand_beside_them():
    both = STARTS.beside({"other": number(5)})
    assert of(both, "other", "train_val") == 5
    assert of(both, "candidate-1", "train_val") == 3
    assert (both.without, STARTS.train.keys()) == (STARTS.without, {"candidate-1", "lora-pruned"})
