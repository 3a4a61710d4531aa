"""labgen: a profile becomes a running lab of identical virtual machines, and a lab becomes a file."""
