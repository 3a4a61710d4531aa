"""The recipes: what labgen does with a lab, one module per verb."""
