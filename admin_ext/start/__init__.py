"""Starting a job: the catalogue, its form, what the form is filled from, and what stands before harm."""
