"""The machine below a run: devices, memory, process groups, a Ray."""
