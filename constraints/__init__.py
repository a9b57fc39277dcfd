"""Putting it on a board: synthesis through edalize, and what a design costs."""
