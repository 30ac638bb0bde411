"""`tlnlp demo`: the page, served to this machine alone."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tlnlp.calm import calm_libraries
from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module

HOST = "127.0.0.1"
# A browser that obeys this asks nobody but this page for anything, whatever stands in the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'self'"
)

# Gradio is an extra, and takes seconds to import.
_page = lazy_module("tlnlp.demo.page")


@dataclass(frozen=True)
class Asked:
    """A web page on this machine: fill-mask, next word, a trained model that can be asked, and the same before it
    learnt. Works without a network; nothing leaves the machine.

    tlnlp demo

    tlnlp demo --run runs/sst2/mini-sample-full
    """

    run: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER ...", help="Runs to ask: runs/TASK/NAME.")] = ()
    model: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="For fill-mask; none leaves it out.")] = (
        "mini"
    )
    gpt: Annotated[str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="For the next word; none leaves it out.")] = (
        "mini-gpt"
    )
    port: Annotated[int, tyro.conf.arg(metavar="NUMBER", help="Where the page is, on 127.0.0.1.")] = 7860


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp demo`: serves until it is stopped."""
    asked = tyro.cli(Asked, args=arguments, prog="tlnlp demo", config=(tyro.conf.FlagCreatePairsOff,))
    calm_libraries()
    app = make_app(asked)
    import uvicorn  # noqa: PLC0415  (comes with Gradio, which is an extra)

    print(f"http://{HOST}:{asked.port}  (Ctrl-C ends it)", flush=True)
    uvicorn.run(app, host=HOST, port=asked.port, log_level="warning")
    return 0


def make_app(asked: Asked) -> Any:
    """The web application, with all models loaded.

    Raises:
        InputError: Gradio is not installed, or a model cannot be had.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import fastapi  # noqa: PLC0415  (these come with the extra)
        import gradio  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            expected="Gradio, which makes the page", found=str(error), change='pip install "tlnlp[demo]"'
        ) from error
    from tlnlp.demo.load import load_all  # noqa: PLC0415  (brings torch and Gradio)

    page = load_all(asked.model, asked.gpt, asked.run)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def keep_here(request: Any, answer: Callable[[Any], Awaitable[Any]]) -> Any:
        response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    theme = gradio.themes.Default(**_page.THEME)
    return gradio.mount_gradio_app(app, page, path="/", theme=theme, css=_page.CSS, footer_links=[])
