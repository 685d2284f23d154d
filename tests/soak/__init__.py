"""Two thousand tasks of all kinds through real workers; what they wrote down themselves, compared with the record."""
