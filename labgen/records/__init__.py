"""What labgen remembers in files: labs, their subnets, checkpoints, templates, and who the data home is."""
