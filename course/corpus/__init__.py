"""Text to learn from: two built-in corpora, the user's files, Hugging Face datasets."""

from course.corpus.harvest import prose
from course.corpus.stories import stories
from course.corpus.writing import END_OF_TEXT, Part, write

__all__ = ["END_OF_TEXT", "Part", "prose", "stories", "write"]
