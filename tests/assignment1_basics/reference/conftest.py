"""The graded tests of this assignment, to be run on mistakes and on other right answers."""

import pytest

from course.grading.suite import GradedSuite


@pytest.fixture(scope="session")
def suite(request):
    suite = GradedSuite(request.config.rootpath, "assignment1_basics")
    yield suite
    suite.close()
