"""The Python that runs sd-scripts: found, created, checked."""
