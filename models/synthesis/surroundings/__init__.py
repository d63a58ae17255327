"""What is around a target in its frame: the background behind everything, what it is mounted on, and other things."""
