"""Workers: the list, the page of one, what can be asked of it."""
