"""Devices, memory, process groups and Ray: what a process needs from the machine."""
