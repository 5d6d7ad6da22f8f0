"""`python -m course` is the `course` command, for processes that start others of this environment."""

import sys

from course.cli import main

sys.exit(main())
