"""The stage that trains the supernet."""

from __future__ import annotations

from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from nas_peft.progress import StageBars
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.trainings import probe_head
from search_spaces.streams import stream_seed
from supernet import OnePerImage, Supernet, train, write_atomically


def train_supernet(
    inputs: RunInputs, features: Tensor, folder: RunFolder, bars: StageBars, device: str
) -> tuple[Supernet, dict[str, Any]]:
    """The supernet, trained on architectures around the budget, one for each image; and the stage's record.

    A finished one is read from the folder, an unfinished one goes on after the last epoch that was saved.
    """
    config = inputs.config
    capacity = inputs.space.largest()
    supernet = Supernet(
        inputs.backbone.model.to(device),
        capacity,
        len(inputs.dataset.classes),
        seed=stream_seed(config.seed, "supernet weights"),
    )
    weights = folder.path / "supernet.safetensors"
    state = folder.path / "supernet.state.pt"
    with bars.stage("supernet (epochs)") as advance:
        stage = folder.read_stage("supernet")
        if stage is not None:
            supernet.load_module_tensors(load(weights.read_bytes()))
            advance(config.supernet_epochs, config.supernet_epochs)
            return supernet.eval(), stage
        if head := config.head_recipe():
            labels = inputs.dataset.train.labels
            of_train = features[: len(labels)]
            probe_head(supernet, labels, of_train, inputs.preprocessing, head, config.seed)
        curve = train(
            supernet,
            inputs.dataset.train.images,
            inputs.dataset.train.labels,
            preprocessing=inputs.preprocessing,
            chooser=OnePerImage(inputs.sampler.sample, capacity.kinds),
            recipe=config.recipe("supernet"),
            seed=stream_seed(config.seed, "supernet"),
            on_epoch=lambda done: advance(done, config.supernet_epochs),
            state_file=state,
        )
    tensors = {k: v.cpu().contiguous() for k, v in supernet.module_tensors(capacity).items()}
    write_atomically(weights, save(tensors))
    stage = {"seconds": curve.seconds, "image_passes": curve.image_passes, "losses": curve.losses}
    folder.write_stage("supernet", stage)
    state.unlink(missing_ok=True)
    return supernet, stage
