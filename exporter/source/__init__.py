"""Where flow-log objects come from: which are new, and their bytes."""
