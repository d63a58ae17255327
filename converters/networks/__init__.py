"""The networks of a model file on their way from Keras."""
