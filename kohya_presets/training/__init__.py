"""The settings of one training, and the defaults of those not given."""
