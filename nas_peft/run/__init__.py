"""One run: its folder, what it works on, its progress, and its results."""
