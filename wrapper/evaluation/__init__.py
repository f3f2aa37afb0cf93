"""Pictures that show how good a model is, and what they say."""
