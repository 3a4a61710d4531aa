"""A lab's machines: how they are planned, booted, entered, prepared, held and put back. The verbs call these."""
