"""What grades buildings: how likely each of the four grades of xBD is, building by building."""
