"""Grading: the same tests for the reference and for a student's stubs, points, messages that teach.

check        comparisons whose failure says what was asked, received and expected
catalogue    classic mistakes, which the tests must fail, and other right answers
"""
