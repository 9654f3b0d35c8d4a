"""Trackers: places outside the run folder where the numbers of a run are kept."""
