"""The Python that runs sd-scripts: found, made, examined."""
