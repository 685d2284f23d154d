"""The console under each Python, with the Djangos, Celerys and Unfolds that it takes: `make matrix`."""
