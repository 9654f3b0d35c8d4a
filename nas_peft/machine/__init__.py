"""What a process needs from the machine: devices, memory, process groups, a Ray."""
