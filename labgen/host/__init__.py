"""The host that machines run on: what it can do, which addresses are taken there, and what is wrong with it."""
