"""Parts that several benchmarks share: command line, machine, workers, jobs, store, the search, the table."""
