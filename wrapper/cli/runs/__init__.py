"""Commands that train, and what is done before and after."""
