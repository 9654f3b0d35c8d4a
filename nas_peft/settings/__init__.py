"""Configurations of runs, and the methods and baselines that they name."""
