"""The memory that a run takes: measured at true size, and less of it after it did not suffice."""
