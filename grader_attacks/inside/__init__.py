"""What tries to break out of a box: run in a real one by `grader_attacks`, never on purpose anywhere else."""
