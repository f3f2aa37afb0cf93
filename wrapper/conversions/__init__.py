"""`extract` and `resize`: models and LoRAs that exist already, one or many."""
