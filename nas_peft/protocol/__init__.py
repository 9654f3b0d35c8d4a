"""The comparison of all rows by one protocol: trainings, choice, test, results."""
