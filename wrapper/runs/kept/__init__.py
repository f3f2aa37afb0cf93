"""What a run keeps: models, states and LoRAs, each in its place, and what deletes any of it."""
