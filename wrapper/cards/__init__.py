"""`card`: what a run or a LoRA file says becomes a page; its metadata; an upload."""
