"""One file a command; each is a function that typer turns into the command line of `vpcflow-exporter`."""
