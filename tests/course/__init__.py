"""Tests of the given code."""
