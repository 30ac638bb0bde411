"""`tlnlp demo`: the web demo, which only this machine can reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tlnlp.demo.server import make_app, serve
from tlnlp.display.quiet import quiet_libraries


@dataclass(frozen=True)
class DemoArguments:
    """Serve a web page on this machine: fill-mask, next word, predictions of a trained model, and the same model before
    fine-tuning. Works without a network connection; no data leave the machine.

    tlnlp demo

    tlnlp demo --run runs/sst2/mini-sample-full
    """

    run: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="FOLDER ...", help="Runs whose models are shown: runs/TASK/NAME.")
    ] = ()
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Model for fill-mask; none disables it.")
    ] = "mini"
    gpt: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Model for the next word; none disables it.")
    ] = "mini-gpt"
    port: Annotated[int, tyro.conf.arg(metavar="NUMBER", help="Port of the page, on 127.0.0.1.")] = 7860


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp demo`: serves until it is stopped."""
    asked = tyro.cli(DemoArguments, args=arguments, prog="tlnlp demo", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    serve(make_app(asked.model, asked.gpt, asked.run), asked.port)
    return 0
