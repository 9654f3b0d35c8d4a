"""Separate trainings: what each does, where it runs, and averages of several."""
