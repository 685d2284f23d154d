"""`python -m tests.chaos [--short]`."""

from tests.chaos.run import main

main()
