"""The audit trail: the list, its filters, and its sentences."""
