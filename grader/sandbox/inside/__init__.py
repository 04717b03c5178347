"""What runs in a box, next to the student's code. Imports nothing of `grader`; everything it sends out is only a claim."""
