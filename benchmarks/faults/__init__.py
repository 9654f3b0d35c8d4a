"""Faults that a run is put through: what it survives, what it says, and what is lost."""
