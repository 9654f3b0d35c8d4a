"""Optuna's dashboard on a copy of a run's study, with the decision, notes and pictures."""
