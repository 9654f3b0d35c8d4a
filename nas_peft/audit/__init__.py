"""The room of `nas-peft audit`: its sample, retrainings and findings."""
