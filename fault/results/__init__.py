"""Shares, intervals, tables and the report."""
