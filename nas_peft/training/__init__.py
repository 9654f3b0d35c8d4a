"""Separate trainings: their recipes, the workers that run them, and averages of their weights."""
