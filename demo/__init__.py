"""`make demo`: the daemon's job once, on an embedded AWS, and a look at what came out."""
