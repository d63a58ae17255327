"""Keras STN → fully INT8 TFLite, built-in operators only, proved on the file.

`convert` takes one model, `convert_batch` many; the command is ``stn-convert``. Importing this package does not import
TensorFlow (extra ``train``); the first use of a name does.
"""
