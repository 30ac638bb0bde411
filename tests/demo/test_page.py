"""The page in a real browser: each tab, wrong input, the keyboard, a narrow window; nothing leaves the machine."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import ROOT, run_recipe

pytestmark = pytest.mark.long
pytest.importorskip("gradio", reason="make test-all installs it")
browsers = pytest.importorskip("playwright.sync_api", reason="make test-all installs it")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WAIT = 30_000  # milliseconds that an answer may take
PICTURES = os.environ.get("TLNLP_PICTURES")  # a folder: what the tests see is kept there, to be looked at


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = []
    for name in ("sst2", "conll2003", "squad_v2"):
        folders.append(tmp_path_factory.mktemp(name) / "run")
        ended = run_recipe(name, "--epochs", 1, "--train-rows", 100, folder=folders[-1])
        assert ended.status == 0, ended.output
    return folders


@pytest.fixture(scope="module")
def address(runs: list[Path]) -> Iterator[str]:
    """The page, served by the command itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tlnlp.cli", "demo", "--run", *map(str, runs), "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as served:
        try:
            assert served.stdout is not None
            assert f"http://127.0.0.1:{port}" in served.stdout.readline()
            for _ in range(100):
                with socket.socket() as asked:
                    if asked.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/"
        finally:
            served.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium: make test-all installs it")
    with browsers.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=[(1000, 900), (360, 740)], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """A fresh page, in a wide and in a narrow window. No request may go anywhere else."""
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.set_default_timeout(WAIT)
    asked: list[str] = []
    opened.on("request", lambda each: asked.append(each.url))
    opened.goto(address)
    opened.wait_for_selector("#fill-go")
    yield opened
    if PICTURES:
        opened.screenshot(path=Path(PICTURES) / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}.png", full_page=True)
    opened.close()
    elsewhere = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert asked and not elsewhere


def open_tab(page: Any, name: str) -> None:
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():  # in a narrow window the last ones are behind a menu
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).filter(
            has_text=re.compile(f"^{re.escape(name)}$")
        ).click()
        return
    tab.click()


def fits(page: Any) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


def shown(page: Any, name: str) -> Any:
    """The element of that name on the tab that is open."""
    return page.locator(f"#{name}:visible").first


def test_fill_mask_shows_words_with_their_share(page: Any) -> None:
    shown(page, "fill-text").locator("textarea").fill("The [MASK] barked at the [MASK].")
    shown(page, "fill-go").click()
    page.wait_for_selector("#fill-found table.bars tr")
    lines = page.locator("#fill-found tr").all_inner_texts()
    assert len(lines) == 8
    assert all(re.search(r"\d+\.\d%", line) for line in lines)
    whole = shown(page, "fill-whole").locator("textarea").input_value()
    assert whole.startswith("The ") and "[MASK]" not in whole
    assert fits(page)


@pytest.mark.parametrize(
    ("text", "words"),
    [("no mask here", r"\[MASK\]"), ("", r"\[MASK\]"), ("a [MASK] " * 20_000, "20,000 characters")],
    ids=["no mask", "empty", "very long"],
)
def test_wrong_input_is_answered_in_words(page: Any, text: str, words: str) -> None:
    shown(page, "fill-text").locator("textarea").fill(text)
    shown(page, "fill-go").click()
    page.wait_for_function("document.querySelector('#fill-problem')?.innerText.includes('Expected')")
    assert re.search(words, shown(page, "fill-problem").inner_text())
    assert page.locator("#fill-found tr").count() == 0


def test_a_click_goes_on_writing_and_undo_goes_back(page: Any) -> None:
    open_tab(page, "Next word")
    text = shown(page, "next-text").locator("textarea")
    text.fill("The city of")
    shown(page, "next-go").click()
    first = shown(page, "next-0")
    first.wait_for()
    word = first.inner_text().split()[0]
    first.click()
    page.wait_for_function("document.querySelector('#next-text textarea').value !== 'The city of'")
    assert text.input_value() in (f"The city of {word}", f"The city of{word}")
    shown(page, "next-undo").click()
    page.wait_for_function("document.querySelector('#next-text textarea').value === 'The city of'")
    assert fits(page)


def test_the_keyboard_alone_suffices(page: Any) -> None:
    text = shown(page, "fill-text").locator("textarea")
    text.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("She opened the [MASK].")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id || document.activeElement.closest('[id]').id") == "fill-go"
    page.keyboard.press("Enter")
    page.wait_for_selector("#fill-found table.bars tr")


def test_a_trained_classifier_shows_confidence_and_words_that_matter(page: Any) -> None:
    open_tab(page, "sst2")
    shown(page, "ask-text").locator("textarea").fill("A dull film <b>with</b> one <script>alert(1)</script> song.")
    shown(page, "ask-go").click()
    page.wait_for_selector("#ask-chances:visible table.bars tr")
    assert shown(page, "ask-answer").locator("textarea, input").first.input_value() in ("negative", "positive")
    weighed = shown(page, "ask-weights-text").inner_text()
    assert "dull" in weighed and "script" in weighed
    assert page.locator("#ask-weights-text b, #ask-weights-text script").count() == 0, "text is text"
    assert fits(page)


def test_persian_is_answered_and_written_from_right_to_left(page: Any) -> None:
    open_tab(page, "sst2")
    area = shown(page, "ask-text").locator("textarea")
    area.fill("از خدمات راضی هستم")
    assert area.evaluate("each => getComputedStyle(each).unicodeBidi") == "plaintext"
    shown(page, "ask-go").click()
    page.wait_for_selector("#ask-chances:visible table.bars tr")
    places = [
        page.locator("#ask-weights-text").get_by_text(word, exact=True).first.bounding_box()["x"]
        for word in ("از", "خدمات", "هستم")
    ]
    assert places == sorted(places, reverse=True)


def test_tags_colour_words_and_answers_are_marked(page: Any) -> None:
    open_tab(page, "conll2003")
    shown(page, "ask-words").locator("textarea").fill("Anna Keller flew to Oslo.")
    shown(page, "ask-go").click()
    page.wait_for_function("[...document.querySelectorAll('#ask-marked')].some(e => e.innerText.includes('Keller'))")
    open_tab(page, "squad_v2")
    shown(page, "ask-question").locator("textarea").fill("Who flew to Oslo?")
    shown(page, "ask-context").locator("textarea").fill("In May Anna Keller flew to Oslo.")
    shown(page, "ask-go").click()
    page.wait_for_function("[...document.querySelectorAll('#ask-marked')].some(e => e.innerText.includes('In May'))")


def test_before_and_after_stand_side_by_side(page: Any) -> None:
    open_tab(page, "sst2: before / after")
    shown(page, "before-text").locator("textarea").fill("A wonderful film.")
    shown(page, "before-go").click()
    page.wait_for_selector("#before-after-chances:visible table.bars tr")
    texts = [shown(page, f"before-{name}-chances").inner_text() for name in ("before", "after")]
    assert texts[0] != texts[1]
    assert fits(page)
