"""Corruptions of images: those that models are tested on, and others by which models are chosen."""
