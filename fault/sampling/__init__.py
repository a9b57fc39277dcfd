"""What is drawn, from which population."""
