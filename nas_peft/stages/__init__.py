"""The stages of a run before its comparison: probe, latency, supernet, search."""
