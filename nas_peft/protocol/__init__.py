"""The comparison of rows by one protocol: trainings, choice, test, results."""
