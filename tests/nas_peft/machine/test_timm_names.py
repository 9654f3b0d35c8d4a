"""Names read from timm's sources are those that timm itself lists."""

from __future__ import annotations

import timm

from nas_peft.machine.timm_names import FAMILIES, MODULES, family_of, timm_names


def test_names_are_timm_s_own_and_hardly_any_is_missing():
    listed = {name for module in MODULES for name in timm.list_models(module=module, pretrained=True)}
    found = set(timm_names())
    assert found <= listed
    assert len(found) > 0.9 * len(listed)


def test_every_family_has_a_name_and_every_name_a_family():
    assert {family_of(name) for name in timm_names()} == set(FAMILIES)
    assert family_of("vit_small_patch14_dinov2.lvd142m") == "DINOv2"
    assert family_of("vit_base_patch16_224.augreg_in21k") == "ViT (AugReg and others)"
