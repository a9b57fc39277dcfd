"""Making a fault happen in RTL."""
