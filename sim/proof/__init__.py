"""Proves what protections find, for every upset and every state, with the solver of Yosys."""
