"""A model's page: what a run and its author know about a LoRA, as Markdown, HTML and metadata."""
