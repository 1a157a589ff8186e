"""What the program needs of the operating system and of the event loop, and nothing of the subject matter."""
