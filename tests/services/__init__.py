"""Real servers, started for the tests, the demo and the benches, and stopped when they are done."""
