"""The commands of assignment 1; `course/cli.py` has the table."""
