"""One file per subcommand of `tlnlp`, with its arguments and output only."""
