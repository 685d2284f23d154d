"""Facts that the recorder could not read: the list, and what can be done with them."""
