"""A lab's machines: planning, booting, entering, preparing, pausing and restoring them. The verbs call these."""
