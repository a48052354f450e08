"""The protocol: frames, messages, the state table, parameters, and the document that specifies them."""
