"""Evolution and other searchers: candidates, the Pareto front, racing, the Optuna record."""
