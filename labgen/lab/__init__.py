"""The recipes: what labgen does with a lab, one verb a module."""
