"""Commands for images, training and LoRAs."""
