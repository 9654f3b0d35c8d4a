"""The gradient of a step, beside the one that autograd gives for the written loss."""

import pytest
import torch
import torch.nn.functional as F

from search_spaces import Architecture
from supernet import ArchitectureBatch, Execution, Step
from supernet.data_parallel import Processes
from supernet.step_gradient import StepGradient
from supernet.targets import Targets

pytestmark = pytest.mark.slow

KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
SMALL = Architecture.of(2, {"prompt_tokens": [1, 0]})
MIXED = Architecture.of(2, {"lora_rank": [2, 4], "adapter_dim": [0, 1]})
ALONE = Processes(0, 1)
BATCH = torch.tensor([7, 3, 30, 12, 5])


@pytest.fixture
def net(plain, default_space, randomised):
    return randomised(plain(), default_space.largest())


@pytest.fixture
def gradient(net, toy, preprocessing):
    images, labels = toy

    def make(processes=ALONE, kinds=None, **execution):
        return StepGradient(
            network=net,
            inputs=lambda batch: preprocessing.normalise(images[batch]),
            targets=lambda batch: Targets(labels[batch]),
            device=torch.device("cpu"),
            execution=Execution(**execution),
            processes=processes,
            kinds=kinds,
        )

    return make


@pytest.fixture
def logits(net, toy, preprocessing):
    return lambda architecture: net(preprocessing.normalise(toy[0][BATCH]), architecture)


def gradients(net):
    found = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
    net.zero_grad()
    return found


def require_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_one_pass_is_the_cross_entropy(net, gradient, logits, toy):
    expected = F.cross_entropy(logits(MIXED), toy[1][BATCH])
    expected.backward()
    expected_gradients = gradients(net)
    assert gradient().add(BATCH, Step((MIXED,))) == expected
    assert all(torch.equal(value, expected_gradients[name]) for name, value in gradients(net).items())


@pytest.mark.parametrize("parts", [1, 2])
def test_several_passes_are_averaged(net, gradient, logits, toy, default_space, parts):
    passes = (default_space.largest(), SMALL, MIXED)
    expected = sum(F.cross_entropy(logits(a), toy[1][BATCH]) for a in passes) / 3
    expected.backward()
    expected_gradients = gradients(net)
    torch.testing.assert_close(gradient(micro_batches=parts).add(BATCH, Step(passes)), expected.detach())
    require_same(gradients(net), expected_gradients)


@pytest.mark.parametrize("parts", [1, 2])
def test_with_distillation_the_first_pass_teaches_and_is_not_taught(
    net, gradient, logits, toy, default_space, parts
):
    passes = (default_space.largest(), SMALL, MIXED)
    first = logits(passes[0])
    taught = first.detach().softmax(-1)
    others = [-(taught * logits(a).log_softmax(-1)).sum(-1).mean() for a in passes[1:]]
    expected = (F.cross_entropy(first, toy[1][BATCH]) + sum(others)) / 3
    expected.backward()
    expected_gradients = gradients(net)
    step = Step(passes, distil=True)
    torch.testing.assert_close(gradient(micro_batches=parts).add(BATCH, step), expected.detach())
    require_same(gradients(net), expected_gradients)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_each_image_keeps_its_architecture_in_a_part(net, gradient, logits, toy, default_space, parts):
    each = ArchitectureBatch.of([MIXED, SMALL, default_space.largest(), SMALL, MIXED], KINDS)
    expected = F.cross_entropy(logits(each), toy[1][BATCH])
    expected.backward()
    expected_gradients = gradients(net)
    torch.testing.assert_close(gradient(micro_batches=parts).add(BATCH, Step((each,))), expected.detach())
    require_same(gradients(net), expected_gradients)


def test_one_architecture_can_be_run_as_one_for_each_image(net, gradient, logits, toy):
    each = ArchitectureBatch.of([MIXED] * 5, KINDS)
    F.cross_entropy(logits(each), toy[1][BATCH]).backward()
    expected = gradients(net)
    gradient(kinds=KINDS).add(BATCH, Step((MIXED,)))
    require_same(gradients(net), expected)


class InTurn(Processes):
    """Stands for one of several processes, which this test runs one after the other and adds up."""

    def add_up(self, parameters, loss):
        return loss


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_shares_of_all_processes_add_up_to_the_whole(net, gradient, default_space, count):
    each = ArchitectureBatch.of([MIXED, SMALL, default_space.largest(), SMALL, MIXED], KINDS)
    step = Step((each, default_space.largest()), distil=True)
    whole = gradient().add(BATCH, step)
    expected = gradients(net)
    losses = [gradient(InTurn(rank, count), micro_batches=2).add(BATCH, step) for rank in range(count)]
    torch.testing.assert_close(sum(losses), whole)
    require_same(gradients(net), expected)
