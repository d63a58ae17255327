"""What each operator of ONNX is in TensorFlow: a function for each, by subject; `by_name` finds them.

Each takes a `Call` and gives a `Value`, or several. Constants come as arrays of NumPy.
"""
