"""What tries to break out of a box: run in a real one by `grader.attacks`, never on purpose anywhere else."""
