"""`tlnlp convert`: writes the weights of a checkpoint that has only pickles as safetensors."""

from __future__ import annotations

import tyro

from tlnlp.commands.arguments import ConvertArguments
from tlnlp.display.quiet import quiet_libraries
from tlnlp.models.conversion import convert


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp convert`."""
    asked = tyro.cli(ConvertArguments, args=arguments, prog="tlnlp convert", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    done = convert(asked.folder, asked.output_dir or asked.folder)
    for source, written in done.files.items():
        print(f"{source} -> {written}")
    shared = f", {len(done.tied)} tied to another: {', '.join(done.tied[:3])}" if done.tied else ""
    print(f"{done.tensors:,} tensors, {done.parameters:,} weights{shared}; read again, and equal")
    if done.copied:
        print(f"copied: {', '.join(done.copied)}")
    print(f"now: --model {asked.output_dir or asked.folder}")
    return 0
