"""Supervision by a recognizer behind the sampler: an STN that learns from labels alone (Jaderberg et al. 2015).

In: labelled images, distorted anew in each epoch. Out: one model, and its halves: the STN and the recognizer.
"""
