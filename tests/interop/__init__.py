"""A client in another language, written from the documents alone, at work with a real daemon."""
