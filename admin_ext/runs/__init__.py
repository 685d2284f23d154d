"""The list of runs: what an address asks for, its filters, its export."""
