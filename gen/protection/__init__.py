"""Protection logic, one mechanism a file."""
