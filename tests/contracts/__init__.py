"""The project's own rules at work: right code passes, and a fault planted for each rule is refused."""
