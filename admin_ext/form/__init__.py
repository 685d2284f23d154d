"""A job's parameters as fields: they read text into values and tell what is wrong beside the field."""
