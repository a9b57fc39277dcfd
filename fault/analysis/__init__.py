"""Deciding a fault exactly without RTL."""
