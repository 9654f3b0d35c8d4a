"""Model cards: what the hub reads, and what people read."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from nas_peft.deployment.model_card import hub_name, model_card
from nas_peft.training.share_interval import share_interval
from search_spaces import Architecture
from supernet import Backbone, Preprocessing, Subnet, Supernet

RECORD = {
    "spec": "photos",
    "counts": {"train": 100, "val": 40, "test": 50},
    "splits": {"train": "given", "test": "stratified split, 20%, seed 0"},
}
RECIPE = {"epochs": 8, "lr": 0.003, "weight_decay": 0.0001, "augmentation": "crop"}


@pytest.fixture(scope="module")
def subnet(backbone: Backbone) -> Subnet:
    network = Supernet(backbone.model, Architecture.of(8, {"lora_rank": (0, 2) * 4}), 2, seed=5).eval()
    metrics = {"val_accuracy": 0.9, "test_accuracy": 0.8, "protocol": "The test part is read once."}
    training = {"recipe": RECIPE, "seed": 3, "dataset": RECORD, "nas_peft": "0.1.0"}
    preprocessing = Preprocessing.of(backbone.model)
    return Subnet(network, backbone, ("cat", "dog"), preprocessing, metrics, training, temperature=1.5)


def test_the_head_is_what_the_hub_reads(subnet: Subnet):
    card = ModelCard(str(model_card(subnet, "subnet.safetensors", "cc-by-4.0")))
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "nas-peft"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.base_model is None  # the shipped backbone is not on the hub
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.8)
    assert (result.dataset_name, result.dataset_split) == ("photos", "test")


def test_the_metric_that_decided_stands_beside_the_accuracies(subnet: Subnet):
    by_recall = {"metric": "balanced-accuracy", "val_balanced_accuracy": 0.7, "test_balanced_accuracy": 0.65}
    text = model_card(replace(subnet, metrics=subnet.metrics | by_recall), "subnet.safetensors", "mit").text
    assert "The run decided by balanced accuracy: 70.0% on val and 65.0% on test." in text
    by_loss = {"metric": "log-loss", "val_loss": 0.25, "test_loss": None}
    text = model_card(replace(subnet, metrics=subnet.metrics | by_loss), "subnet.safetensors", "mit").text
    assert "The run decided by log loss: 0.250 on val." in text


def test_the_text_is_what_people_read(subnet: Subnet):
    text = model_card(subnet, "subnet.safetensors", "unknown").text
    low, high = share_interval(40, 50)
    for part in (
        "100 train, 40 val, 50 test images. 2 classes: cat, dog.",
        "- test: stratified split, 20%, seed 0",
        "LoRA  ·█·█·█·█  2",
        "- lr: 0.003",
        "- seed: 3",
        f"| test | 50 | 80.0 | {100 * low:.1f} to {100 * high:.1f} |",
        "| val | 40 | 90.0 |",
        "The test part is read once.",
        "the temperature 1.500",
        "Licence of the backbone by timm's record: apache-2.0.",
        "Not chosen yet.",
        'hf_hub_download("USER/NAME", "subnet.safetensors")',
    ):
        assert part in text
    assert (round(low, 3), round(high, 3)) == (0.670, 0.888)  # Wilson's, of 40 among 50


def test_a_subnet_without_a_record_has_a_card_too(subnet: Subnet):
    bare = replace(subnet, metrics={}, training={"weights": "inherited"}, temperature=None)
    card = model_card(bare, "subnet.safetensors", "unknown")
    assert "None recorded." in card.text
    assert "inherited from the supernet" in card.text
    assert card.data.eval_results is None
    soup = replace(subnet, training={"mean_of": [{"recipe": RECIPE}] * 3})
    assert "mean of the weights of 3 trainings" in model_card(soup, "a", "unknown").text
    line = replace(subnet, training={"alpha": 0.5, "training": {"recipe": RECIPE}})
    assert "WiSE-FT: the point 0.5" in model_card(line, "a", "unknown").text


def test_the_backbone_s_name_on_the_hub(subnet: Subnet):
    assert hub_name(subnet) is None
    model = subnet.backbone.model
    config = model.pretrained_cfg | {"hf_hub_id": "timm/", "tag": "augreg_in21k"}
    before = model.pretrained_cfg
    try:
        model.pretrained_cfg = config
        assert hub_name(subnet) == "timm/vit_micro_patch8_32.augreg_in21k"
        own = replace(subnet, backbone=replace(subnet.backbone, weights="mine.safetensors"))
        assert hub_name(own) is None
    finally:
        model.pretrained_cfg = before
