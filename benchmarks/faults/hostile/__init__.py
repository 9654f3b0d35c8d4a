"""Hostile inputs from a seed: options, spaces, images, folders, lists, checkpoints, run folders."""
