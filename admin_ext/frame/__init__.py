"""What stands around every page: the sidebar, and what the machinery's banner tells."""
