"""Groups of failed runs: the list, the page of one, what people do with them."""
