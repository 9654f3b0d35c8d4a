"""Runs, contests and tables of `nas-peft compare`."""
