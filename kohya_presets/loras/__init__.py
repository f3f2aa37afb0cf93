"""What LoRA files hold, how far two are apart, and what each rank keeps of a fine-tuning."""
