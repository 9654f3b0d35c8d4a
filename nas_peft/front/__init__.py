"""Table, plot and export of `nas-peft front`."""
