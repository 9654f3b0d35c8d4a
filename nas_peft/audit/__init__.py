"""What `nas-peft audit` retrains and finds."""
