"""Assignment 3: scaling laws and the training service they are fitted on."""
