"""Drawing: the map and the explanation as pictures."""
