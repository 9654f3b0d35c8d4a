"""Searching by evolution and its rivals: candidates, the Pareto front, racing, the Optuna record."""
