"""What a rectified image shows: a recognizer, its file, its input and its scores."""
