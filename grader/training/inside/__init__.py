"""What runs in box 2: our code on our data, with models rebuilt from allow-listed parts. Imports nothing of `grader`."""
