"""The staff solution of assignment 1."""
