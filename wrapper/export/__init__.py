"""Files for others: sd-scripts by hand, the Kohya GUI, a preset of the user's own."""
