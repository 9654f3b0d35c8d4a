"""Drop path and dropout of modules: what is left out, how often, and that nothing is lost on average."""

from dataclasses import replace

import pytest
import torch

from search_spaces import Architecture, InputError
from supernet import Constant, Recipe, Supernet, train
from supernet.depth_dropout import KeptLayers, depth_dropout

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, lr=1e-3)
EVERY = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [2, 1], "ssf": [6, 6]})


def drawn(recipe, images=4000, layers=5, seed=0, epoch=0):
    found = depth_dropout(recipe, images=images, layers=layers, seed=seed, indices_on=CPU, device=CPU)
    found.begin(epoch)
    return found(torch.arange(images))


def test_a_recipe_without_rates_draws_nothing():
    assert depth_dropout(RECIPE, images=1, layers=1, seed=0, indices_on=CPU, device=CPU) is None


def test_rates_rise_with_the_layers_and_keep_the_mean():
    kept = drawn(replace(RECIPE, drop_path=0.4, module_dropout=0.2))
    dropped = (kept.branches == 0).double().mean(dim=(0, 2))
    assert dropped.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.03)
    assert kept.branches.mean(dim=(0, 2)).tolist() == pytest.approx([1.0] * 5, abs=0.05)
    assert float((kept.modules == 0).double().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(kept.modules.mean()) == pytest.approx(1.0, abs=0.03)


def test_draws_depend_on_seed_epoch_and_image_only():
    recipe = replace(RECIPE, drop_path=0.5)
    found = depth_dropout(recipe, images=50, layers=3, seed=1, indices_on=CPU, device=CPU)
    with pytest.raises(ValueError, match="call begin first"):
        found(torch.arange(3))
    whole = drawn(recipe, 50, 3, seed=1, epoch=2).branches
    found.begin(2)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    assert torch.equal(found(order).branches, whole[order])
    assert not torch.equal(drawn(recipe, 50, 3, seed=1, epoch=3).branches, whole)
    assert not torch.equal(drawn(recipe, 50, 3, seed=2, epoch=2).branches, whole)


def test_an_image_without_modules_has_the_pretrained_features(plain, toy, preprocessing, randomised):
    net, empty = randomised(plain(), EVERY), Supernet(plain(), Architecture.empty(2), 5)
    x = preprocessing.normalise(toy[0][:4])
    kept = KeptLayers(modules=torch.tensor([0.0, 1, 0, 1])[:, None].expand(4, 2))
    found, bare, whole = net.features(x, None, kept), empty.features(x), net.features(x)
    torch.testing.assert_close(found[[0, 2]], bare[[0, 2]])
    torch.testing.assert_close(found[[1, 3]], whole[[1, 3]])
    assert not torch.allclose(found[0], whole[0])


def test_a_layer_without_branches_passes_its_input_on(plain, toy, preprocessing, randomised):
    net = randomised(plain(), EVERY)
    x = preprocessing.normalise(toy[0][:2])
    branches = torch.ones(2, 2, 2)
    branches[0, 1] = 0
    found = net.features(x, None, KeptLayers(branches=branches))
    tokens, at, _ = net.embed(x, net._sizes(2, None)[0])
    first = net.run_layer(0, tokens, net._sizes(2, None)[0], at)
    torch.testing.assert_close(found[0], net.pool(first, 0)[0])
    torch.testing.assert_close(found[1], net.features(x)[1])


@pytest.mark.parametrize("name", ["drop_path", "module_dropout"])
def test_rates_outside_their_range_and_of_a_head_alone_are_refused(plain, toy, preprocessing, name):
    with pytest.raises(InputError, match=f"{name} is 1.0; give 0 for none, or less than 1"):
        Recipe(1, 0.1, **{name: 1.0})
    with pytest.raises(InputError, match=f"{name} is 0.1.* give a recipe with 0 for both"):
        train(
            Supernet(plain(), EVERY, 5),
            *toy,
            preprocessing=preprocessing,
            chooser=Constant(EVERY),
            recipe=replace(RECIPE, **{name: 0.1}),
            seed=0,
            trainable="head",
        )
