"""What each rank of a LoRA would keep of a fine-tuning, measured in the trainer's Python."""
