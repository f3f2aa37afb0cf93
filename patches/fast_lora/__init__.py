"""Fast extraction and resizing of SDXL LoRAs, for sd-scripts."""
