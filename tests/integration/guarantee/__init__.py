"""The guarantee against a plain model: `test_machine.py` drives the parts beside it."""
