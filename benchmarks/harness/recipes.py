"""Recipes of ``nas-peft search`` that the studies share."""

from __future__ import annotations

from supernet import Recipe

HEAD = Recipe(epochs=20, lr=3e-3)
"""Training of the head alone on cached features, before modules are trained."""
LR = 5e-3
"""Peak learning rate of modules and head, in supernets and in separate trainings."""
