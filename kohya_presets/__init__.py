"""What the project knows: presets, sd-scripts' options and file formats. Files in, values out."""
