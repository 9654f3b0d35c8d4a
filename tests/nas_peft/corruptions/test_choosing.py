"""Corrupted copies by which is chosen: four of each image, of all severities, none of the test's kinds."""

from __future__ import annotations

import torch

from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.corruptions.choosing import corrupted_for_choice
from nas_peft.corruptions.corrupting import corrupted
from nas_peft.data import Part


def test_each_image_has_a_copy_of_each_kind_at_a_severity_of_its_own():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(40, 200, (20, 3, 16, 16), generator=generator, dtype=torch.uint8)
    part = Part(images, torch.arange(20) % 3)
    copies = corrupted_for_choice(part, seed=0)
    names = corruptions_for("choice")
    assert len(copies) == len(names) * len(part)
    assert torch.equal(copies.labels, part.labels.repeat(len(names)))
    drawn = set()
    for number, name in enumerate(names):
        at_levels = [corrupted(images, name, severity, use="choice") for severity in range(1, 6)]
        for index, copy in enumerate(copies.images[number * 20 : (number + 1) * 20]):
            fitting = [s for s, level in enumerate(at_levels, 1) if torch.equal(level[index], copy)]
            assert fitting
            drawn.update(fitting)
    assert drawn == {1, 2, 3, 4, 5}
    assert torch.equal(corrupted_for_choice(part, seed=0).images, copies.images)
    assert not torch.equal(corrupted_for_choice(part, seed=1).images, copies.images)
