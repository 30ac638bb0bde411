"""One file for each subcommand of `tlnlp`: arguments and printing only."""
