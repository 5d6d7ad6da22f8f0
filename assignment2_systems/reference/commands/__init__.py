"""The `course` commands of this assignment, one module each."""
