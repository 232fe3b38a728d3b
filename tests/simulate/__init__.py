"""The traffic generator: flows by hand, incidents by counting, objects by their bytes."""
