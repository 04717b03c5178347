"""What runs in the box that draws a notebook. Nothing here imports the grader."""
