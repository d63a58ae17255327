"""STNs of anybody's making: no layers that we know, only a graph of TensorFlow operations and what it computes.

In: a frozen graph, frame → outputs. Out: where its sampler is (`sampler_site`), at which places of the frame it reads
for which θ (`coordinates`), which convention that is and how it is folded into the layer that gives θ (`convention`),
and what it reads outside the frame (`borders`). Nothing is believed, all is measured on the graph itself.
"""
