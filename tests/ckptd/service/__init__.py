"""The use cases, on a real catalog, with workers and time in the test's hand."""
