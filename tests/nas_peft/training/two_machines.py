"""Trains on a Ray of two nodes on this machine: a supernet on both together, then while one is killed.

The latter is repeated without Ray. Prints the records of both as JSON, which files are left, and how many
nodes and epochs the supernet took. A program of its own: a process can be connected to one Ray only.
"""

import json
import logging
import sys
import threading
import time
from pathlib import Path

import torch
from ray.cluster_utils import Cluster

from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.rows import Row
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet_on_ray import train_on_ray
from nas_peft.stages.supernet_parts import supernet_trainings
from nas_peft.training import training_worker
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.trainings import run_training
from search_spaces import Architecture
from supernet import Recipe, Supernet, pooled_features

training_worker.SAVE_EVERY = 0.0
logging.disable(logging.WARNING)

TELLS_ITS_NODE = """
from pathlib import Path
import ray
from nas_peft.searching.searchers import register_searcher
from nas_peft.searching.searchers.random_search import RandomSearch

with Path({seen!r}).open("a") as seen:
    seen.write(ray.get_runtime_context().get_node_id() + "\\n")

register_searcher("tells-its-node", RandomSearch)
"""


def begun(files):
    return len([*files.glob("*.state.pt"), *files.glob("*.json")])


def main(config, out):
    inputs = SearchInputs.load(config, StageBars(quiet=True))
    data = inputs.dataset
    network = Supernet(inputs.backbone.model, Architecture.empty(8), 3)
    features = pooled_features(network, data.train_val.images, inputs.preprocessing)
    shared = TrainingInputs(inputs.backbone, inputs.preprocessing, 3, data.train, data.val, features)
    row = Row("lora_rank-2", "single", "subnet", Architecture.uniform(8, "lora_rank", 2))
    trainings = row.trainings(config, Recipe(epochs=2, lr=1e-2, batch_size=16), [0, 1, 2], "train")
    seen = out / "nodes"
    seen.touch()
    module = out / "tells_its_node.py"
    module.write_text(TELLS_ITS_NODE.format(seen=str(seen)))

    # Ray looks after its nodes every three seconds, and gives a silent one five times as long.
    often = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": often}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1)
    options = RayOptions(address=cluster.address)
    together = train_together(inputs, features, out, options)
    folder = RunFolder.open(out / "disturbed", config)
    files = folder.path / "trainings"
    finished_at_kill = []

    def kill():
        while second.node_id not in seen.read_text() or begun(files) < 2:
            time.sleep(0.01)
        cluster.remove_node(second, allow_graceful=False)
        finished_at_kill.append(len(list(files.glob("*.json"))))

    threading.Thread(target=kill, daemon=True).start()
    with RayTrainings(folder, shared, device="cpu", module_files=[module], ray_options=options) as runner:
        disturbed = runner.run(trainings, lambda: None)
    cluster.shutdown()
    torch.set_num_threads(1)  # as each worker has one core
    undisturbed = [run_training(training, shared, "cpu")[0] for training in trainings]
    found = {
        "disturbed": list(map(numbers, disturbed)),
        "undisturbed": list(map(numbers, undisturbed)),
        "finished_at_kill": finished_at_kill,
        "together": together,
        "left": sorted(file.name for file in files.iterdir()),
    }
    print(json.dumps(found))


def train_together(inputs, features, out, options):
    """The numbers of nodes and of epochs of a supernet that two workers train, one on each node."""
    seen = out / "nodes-of-the-supernet"
    module = out / "tells_its_node_too.py"
    module.write_text(TELLS_ITS_NODE.format(seen=str(seen)).replace("tells-its-node", "tells-its-node-too"))
    inputs = inputs.with_config(inputs.config.model_copy(update={"module_files": (module,)}))
    folder = RunFolder.open(out / "together", inputs.config)
    (recipe,) = inputs.config.supernet_recipes()
    ((training, _),) = supernet_trainings(inputs, features, folder, recipe)
    curve, _ = train_on_ray(
        training,
        folder.path,
        device="cpu",
        ray_options=options,
        on_epoch=lambda epoch: None,
        processes=2,
    )
    return len(set(seen.read_text().split())), len(curve.losses)


def numbers(record):
    """The record without what may differ between equal trainings."""
    found = record.to_dict()
    found["curve"].pop("seconds")
    found.pop("peak_memory")
    return found


if __name__ == "__main__":
    main(SearchConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]))
