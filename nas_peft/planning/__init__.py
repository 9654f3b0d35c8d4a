"""The plan of a run: from the time that a person has to the configuration that is worth most in it."""
