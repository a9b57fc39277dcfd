"""Images and their labels, from wherever the user has them."""
