"""What can be done with one run: retry and cancel, each on a page that asks first."""
