"""Hostile inputs, generated from a seed: options, spaces, images, folders, lists, checkpoints, run folders."""
