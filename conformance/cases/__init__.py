"""The cases as data: plays, and the cells that are made from the spec. Runs none of them."""
