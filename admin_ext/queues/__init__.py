"""Queues: the list, the page of one, purging."""
