"""Says what is drawn, from which population."""
