"""Given code, never graded: the `course` command, grading, launching, run logging, sample text."""
