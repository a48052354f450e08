"""What the daemon tells about itself: a structured log and figures. Beneath every room, knows none of them."""
