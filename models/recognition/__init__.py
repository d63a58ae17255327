"""Spatial Transformers trained through a recognizer, from labels, as Jaderberg et al. 2015 did."""
