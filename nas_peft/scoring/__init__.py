"""Scoring candidates with the weights that they inherit from a supernet."""
