"""What `nas-peft front` shows, draws and exports."""
