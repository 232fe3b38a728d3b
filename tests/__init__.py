"""The tests mirror exporter/; services/ starts real servers, system/ runs the whole program."""
