"""Measures of models on data that they were not trained for: corruptions, other domains, rare classes."""
