"""STNs of other frameworks, PyTorch's above all: ONNX files, made a function of TensorFlow.

In: an ONNX file. Out: the parts of its Spatial Transformer, as of any other graph (`split_onnx` of `onnx_parts`).

`onnx_file` reads it, `translation` goes through its nodes, `operators/` has what each operator is in TensorFlow,
`laid_out` keeps images as TensorFlow has them, channels last, and with that the order of numbers behind a flatten.
`original` runs the file itself: numbers that the converted file is compared with come from there. `pytorch_words` says
what is refused to who uses PyTorch. The packages onnx and onnxruntime (the extra ``onnx``) are imported where a file is
read.
"""
