"""How well networks find their targets: known frames, errors, presence, and the sheets that show them."""
