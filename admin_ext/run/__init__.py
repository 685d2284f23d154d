"""The page of one run: its tabs, its error, log and family, and why it waits."""
