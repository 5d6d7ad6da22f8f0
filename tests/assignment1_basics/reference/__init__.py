"""Tests of the reference beyond the graded ones; never graded."""
