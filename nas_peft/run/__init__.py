"""A run: its folder, inputs, progress and results."""
