"""The tests, in the tree of the code that they test; `contracts` tests the project's own rules."""
