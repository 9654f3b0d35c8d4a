"""Sample, retrainings and findings of `nas-peft audit`."""
