"""The long form of the fault tests: thousands of accepted runs, thirty faults, three books compared (`make chaos`)."""
