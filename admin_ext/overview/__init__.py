"""The Overview: trouble first, four numbers, what runs, what comes, what was done by hand."""
