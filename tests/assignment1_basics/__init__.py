"""The graded tests of assignment 1, the classic mistakes and right answers by other roads."""
