"""The shared suite: graded tests through adapters only, and the tests of the given code."""
