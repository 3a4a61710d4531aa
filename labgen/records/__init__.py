"""What labgen remembers in files: labs, their subnets, checkpoints, templates, and the data home's identity."""
