"""From a scene to the frame of a camera: the target's pose, the way of its texture into the frame, light and sensor."""
