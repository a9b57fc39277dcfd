"""The ground floor: errors, files, commands, progress, statistics and caches, for every room."""
