"""Keras STN → fully INT8 TFLite, built-in operators only, proved on the file."""
