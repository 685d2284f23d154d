"""What every page is made of: words, chips, rows, addresses, and who may see what."""
