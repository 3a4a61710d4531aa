"""The report of a lab, from its records alone: facts, exercises, best practices, pictures; HTML, Markdown or PDF."""
