"""Facts about sd-scripts: its releases, its options, what each script trains and makes."""
