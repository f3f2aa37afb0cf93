"""What a rented machine must have, and what a training costs there: GPUs, pace, hours, money."""
