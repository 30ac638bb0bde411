"""`tlnlp demo`: the web demo, which only this machine can reach."""

from __future__ import annotations

import tyro

from tlnlp.commands.arguments import DemoArguments
from tlnlp.demo.server import make_app, serve
from tlnlp.display.quiet import quiet_libraries


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp demo`: serves until it is stopped."""
    asked = tyro.cli(DemoArguments, args=arguments, prog="tlnlp demo", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    serve(make_app(asked.model, asked.gpt, asked.run), asked.port)
    return 0
