"""Training a localization network from known poses: frames, crops, losses, and a course that can be resumed."""
