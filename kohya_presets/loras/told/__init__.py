"""What was found about LoRAs, as text, as JSON values and as a page."""
