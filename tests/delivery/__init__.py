"""The whole program as a real process, killed and led astray: at the end the stream holds exactly what it should."""
