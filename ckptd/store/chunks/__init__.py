"""Where chunks' bytes lie; `interface` states the obligations."""
