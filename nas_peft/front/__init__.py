"""The room of `nas-peft front`: table, plot and export."""
