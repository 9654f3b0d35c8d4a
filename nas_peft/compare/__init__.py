"""What `nas-peft compare` reads and shows."""
