"""Calls for Python programs: the jobs with options as keywords, and a classifier."""
