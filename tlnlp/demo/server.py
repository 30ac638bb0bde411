"""The page as a web application, which only this machine can reach."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module

HOST = "127.0.0.1"
# A content security policy: the browser sends no requests to other hosts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'self'"
)

# Gradio is an optional dependency and takes seconds to import.
_page = lazy_module("tlnlp.demo.page")


def make_app(model: str, gpt: str, runs: Sequence[Path]) -> Any:
    """Returns the web application, with all models loaded.

    Raises:
        InputError: Gradio is not installed, or a model cannot be loaded.
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

    page = load_all(model, gpt, runs)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def keep_here(request: Any, answer: Callable[[Any], Awaitable[Any]]) -> Any:
        response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    theme = gradio.themes.Default(**_page.THEME)
    return gradio.mount_gradio_app(app, page, path="/", theme=theme, css=_page.CSS, footer_links=[])


def serve(app: Any, port: int) -> None:
    """Serves `app` on this machine until it is stopped."""
    import uvicorn  # noqa: PLC0415  (comes with Gradio, which is an extra)

    print(f"http://{HOST}:{port}  (Ctrl-C ends it)", flush=True)
    uvicorn.run(app, host=HOST, port=port, log_level="warning")
