"""`make bite`: the guarantee is taken out, one part at a time, and each time a test must turn red."""
