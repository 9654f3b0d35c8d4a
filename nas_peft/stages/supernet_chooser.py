"""The chooser of the architectures that a run's supernet is trained on."""

from __future__ import annotations

from nas_peft.run.search_inputs import SearchInputs
from search_spaces import Architecture, count_params
from supernet import Chooser, Groups, OnePath, OnePerImage, Sandwich


def supernet_chooser(inputs: SearchInputs) -> Chooser:
    """The configured chooser, drawing architectures from the range that the searcher explores.

    The largest architecture of the sandwich is `covering`: every module is as large as in any architecture
    within the range, so that all of them are contained, as the sandwich rule asks. No architecture within
    the range contains all others, so `covering` may exceed the range; it teaches, and is no candidate. The
    smallest, `fewest`, has the fewest parameters among architectures with a module.
    """
    config, draw = inputs.config, inputs.training_sampler.sample
    kinds = inputs.space.largest().kinds
    if config.chooser == "one-path":
        return OnePath(draw)
    if config.chooser == "groups":
        return Groups(draw, kinds, config.groups)
    if config.chooser == "sandwich":
        return Sandwich(draw, covering(inputs), fewest(inputs), distil=config.distil)
    return OnePerImage(draw, kinds)


def covering(inputs: SearchInputs) -> Architecture:
    """The smallest architecture that covers every member of the space that is trained."""
    space, shape = inputs.space, inputs.backbone.shape
    limit = inputs.training_limit
    sizes = {}
    for kind, choices in space.kinds:
        alone = {
            size: Architecture.of(space.depth, {kind: [size] + [0] * (space.depth - 1)})
            for size in choices.positive
        }
        fitting = [size for size, a in alone.items() if count_params(a, shape) <= limit]
        largest = max(fitting, default=0)
        sizes[kind] = [min(size, largest) for size in choices.largest(space.depth)]
    return Architecture.of(space.depth, sizes)


def fewest(inputs: SearchInputs) -> Architecture:
    """The member of the space with the fewest parameters that has a module."""
    return min(inputs.space.smallest_nonempty(), key=lambda a: count_params(a, inputs.backbone.shape))
