"""Every table filled with what nobody meant to be there, and every address opened over it."""
