"""The room of `nas-peft compare`: runs, contests and tables."""
