"""What the fuzzer starts from, what it holds the readers to, and what it says when they fail."""
