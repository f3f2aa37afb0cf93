"""Pages that ask for nothing: one environment, one style, plots without a script."""
