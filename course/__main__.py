"""`python -m course` is the `course` command: for processes that start more of them."""

import sys

from course.cli import main

sys.exit(main())
