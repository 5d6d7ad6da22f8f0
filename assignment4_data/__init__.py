"""Assignment 4: filtering and deduplication of web text."""
