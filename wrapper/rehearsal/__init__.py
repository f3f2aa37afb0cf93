"""The job on a miniature SDXL, on any CPU."""
