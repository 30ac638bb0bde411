"""The page: four Gradio tabs, each a thin layer over functions that are tested without Gradio."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from tlnlp.demo.explain import MOST_CHARACTERS, DisplayedPrediction, Marked, ask, fields_of, weigh_words
from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.inference.next_words import NextWordPredictor
from tlnlp.inference.predictor import Predictor

CHOICES = 8
FILL_EXAMPLE = "He opened the [MASK] and went out."
NEXT_EXAMPLE = "The largest city in Iran is"
# System fonts only: the page requests nothing from other hosts.
THEME = dict(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
# Right-to-left text is right-aligned, whatever surrounds it.
CSS = """
textarea { unicode-bidi: plaintext; text-align: start; }
.bars { width: 100%; border-collapse: collapse; border: 0 !important; } .bars tr { border: 0 !important; }
.bars caption { text-align: left; opacity: .75; padding-bottom: .3rem; }
.bars td { padding: .15rem .6rem .15rem 0; border: 0; } .bar-number { text-align: right; width: 4.5rem; }
.bar-place { width: 55%; } .bar { height: .8rem; border-radius: 3px; background: #3d8fd1; min-width: 1px; }
"""
LABELS = {
    "text": "Text", "text_pair": "Second text", "words": "Sentence", "question": "Question", "context": "Context",
    "endings": "Endings, one per line",
}  # fmt: skip


@dataclass(frozen=True)
class LoadedRun:
    """A run on the page.

    Args:
        before: the model before fine-tuning; None if it cannot be loaded, with the reason.
    """

    name: str
    predictor: Predictor
    before: Predictor | None
    why_not: str = ""


def build(masked: MaskFiller | None, following: NextWordPredictor | None, runs: Sequence[LoadedRun]) -> gr.Blocks:
    """Builds the page, with a tab for each available part."""
    with gr.Blocks(title="tlnlp", analytics_enabled=False) as page:
        gr.Markdown("# tlnlp")
        if masked is not None:
            with gr.Tab("Fill in"):
                _fill_tab(masked)
        if following is not None:
            with gr.Tab("Next word"):
                _next_tab(following)
        for run in runs:
            with gr.Tab(run.name):
                _run_tab(run)
        for run in runs:
            with gr.Tab("Before / after" if len(runs) == 1 else f"{run.name}: before / after"):
                _before_tab(run)
    return page


def in_words(error: InputError) -> str:
    """Formats an error about the input as escaped Markdown."""
    parts = (("Expected", error.expected), ("found", error.found), ("change", error.change))
    return "  \n".join(f"**{name}:** {_plain(text)}" for name, text in parts)


def _plain(text: str) -> str:
    """Escapes text for Markdown and HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-.!|~$" else letter for letter in text)


def bars(heading: str, confidences: Mapping[str, float]) -> str:
    """Returns probabilities as a table with bars; all text is escaped and may be right-to-left."""
    if not confidences:
        return ""
    most = max(confidences.values()) or 1.0
    lines = "".join(
        f'<tr><td dir="auto">{html.escape(name)}</td><td class="bar-number">{html.escape(percent(chance))}</td>'
        f'<td class="bar-place"><div class="bar" style="width: {100 * chance / most:.1f}%"></div></td></tr>'
        for name, chance in confidences.items()
    )
    return f'<table class="bars"><caption>{html.escape(heading)}</caption>{lines}</table>'


def _fill_tab(masked: MaskFiller) -> None:
    gr.Markdown("Write **[MASK]** in place of a word; several masks are filled together.")
    text = gr.Textbox(FILL_EXAMPLE, label="Text with [MASK]", lines=2, elem_id="fill-text")
    button = gr.Button("Fill in", variant="primary", elem_id="fill-go")
    problem = gr.Markdown(elem_id="fill-problem")
    found = gr.HTML(elem_id="fill-found")
    whole = gr.Textbox(label="The likeliest", interactive=False, elem_id="fill-whole")

    def fill(text: str) -> tuple[Any, Any, str]:
        try:
            _check_length(text)
            answers = masked.fill(text, top=CHOICES, pieces=2 if text.count("[MASK]") < 3 else 1)
        except InputError as error:
            return "", "", in_words(error)
        confidences = {", ".join(each.words): each.probability for each in answers}
        return bars("Words and their probabilities", confidences), answers[0].text, ""

    for event in (button.click, text.submit):
        event(fill, text, [found, whole, problem], api_visibility="undocumented")


def _next_tab(following: NextWordPredictor) -> None:
    gr.Markdown("Click a word to continue the text with it.")
    text = gr.Textbox(NEXT_EXAMPLE, label="Text", lines=3, elem_id="next-text")
    with gr.Row():
        button = gr.Button("Next words", variant="primary", elem_id="next-go")
        undo = gr.Button("← Undo", elem_id="next-undo")
    problem = gr.Markdown(elem_id="next-problem")
    buttons = [gr.Button(visible=False, elem_id=f"next-{i}", size="sm") for i in range(CHOICES)]
    texts = gr.State([])  # earlier texts, for undo
    joined = gr.State([])  # the text followed by each of the words

    def follow(text: str) -> list[Any]:
        try:
            _check_length(text)
            found = following.follow(text, top=CHOICES)
        except InputError as error:
            return [in_words(error), [], *(gr.Button(visible=False) for _ in buttons)]
        shown = [gr.Button(f"{each.word}   {percent(each.probability)}", visible=True) for each in found]
        shown += [gr.Button(visible=False)] * (CHOICES - len(found))
        return ["", [each.joined for each in found], *shown]

    def choose(place: int) -> Callable[[str, list[str], list[str]], list[Any]]:
        def go_on(text: str, texts: list[str], joined: list[str]) -> list[Any]:
            return [joined[place], [*texts, text], *follow(joined[place])]

        return go_on

    def go_back(text: str, texts: list[str]) -> list[Any]:
        before, rest = (texts[-1], texts[:-1]) if texts else (text, [])
        return [before, rest, *follow(before)]

    shown = [problem, joined, *buttons]
    for event in (button.click, text.submit):
        event(follow, text, shown, api_visibility="undocumented")
    for place, each in enumerate(buttons):
        each.click(choose(place), [text, texts, joined], [text, texts, *shown], api_visibility="undocumented")
    undo.click(go_back, [text, texts], [text, texts, *shown], api_visibility="undocumented")


def _run_tab(run: LoadedRun) -> None:
    task = run.predictor.task
    inputs = _inputs(run, "ask")
    button = gr.Button("Answer", variant="primary", elem_id="ask-go")
    problem = gr.Markdown(elem_id="ask-problem")
    words, confidences, marked = _outputs("ask", task)
    roles = [role for role in fields_of(task) if role in ("text", "text_pair")]
    weighed = {
        role: gr.HighlightedText(
            label=f"{LABELS[role]}: decrease in the prediction's probability without each word",
            elem_id=f"ask-weights-{role}", show_legend=True,
        )
        for role in roles
    }  # fmt: skip

    def answer(*texts: str) -> list[Any]:
        given = dict(zip(fields_of(task), texts, strict=True))
        try:
            shown = ask(run.predictor, given)
            weights: Mapping[str, Marked] = dict(weigh_words(run.predictor, given)) if roles else {}
        except InputError as error:
            return [in_words(error), "", "", None, *(None for _ in weighed)]
        return ["", *_values(run.predictor, shown), *(_highlighted(weights.get(role)) for role in weighed)]

    outputs = [problem, words, confidences, marked, *weighed.values()]
    for event in (button.click, *(each.submit for each in inputs)):
        event(answer, inputs, outputs, api_visibility="undocumented")


def _before_tab(run: LoadedRun) -> None:
    if run.before is None:
        gr.Markdown(f"The model before fine-tuning cannot be shown: {_plain(run.why_not)}")
        return
    before = run.before
    gr.Markdown("The checkpoint with its new head before the first update, and after the last update.")
    inputs = _inputs(run, "before")
    button = gr.Button("Answer", variant="primary", elem_id="before-go")
    problem = gr.Markdown(elem_id="before-problem")
    outputs = [problem]
    with gr.Row():
        for name, heading in (("before", "Before"), ("after", "After")):
            with gr.Column():
                gr.Markdown(f"### {heading}")
                outputs += _outputs(f"before-{name}", run.predictor.task)

    def answer(*texts: str) -> list[Any]:
        given = dict(zip(fields_of(run.predictor.task), texts, strict=True))
        try:
            shown = [value for each in (before, run.predictor) for value in _values(each, ask(each, given))]
        except InputError as error:
            return [in_words(error), *("", "", None) * 2]
        return ["", *shown]

    for event in (button.click, *(each.submit for each in inputs)):
        event(answer, inputs, outputs, api_visibility="undocumented")


def _inputs(run: LoadedRun, name: str) -> list[Any]:
    roles = fields_of(run.predictor.task)
    return [
        gr.Textbox(label=LABELS[role], lines=4 if role in ("context", "endings") else 2, elem_id=f"{name}-{role}")
        for role in roles
    ]


def _outputs(name: str, task: Any) -> list[Any]:
    has_marks = {"words", "context"} & set(fields_of(task))
    has_chances = "words" not in fields_of(task)
    return [
        gr.Textbox(label="Answer", interactive=False, elem_id=f"{name}-answer"),
        gr.HTML(elem_id=f"{name}-chances", visible=has_chances),
        gr.HighlightedText(label="In the text", elem_id=f"{name}-marked", visible=bool(has_marks)),
    ]


def _values(predictor: Predictor, shown: DisplayedPrediction) -> list[Any]:
    heading = "Confidence" if predictor.temperature is None else "Confidence, calibrated on the run's dev rows"
    return [shown.words, bars(heading, shown.confidences), _highlighted(shown.marked)]


def _highlighted(marked: Marked | None) -> Any:
    """Returns highlighted text in the direction of its first letter."""
    if marked is None:
        return None
    return gr.HighlightedText(marked, rtl=runs_from_right("".join(text for text, _ in marked)))


def runs_from_right(text: str) -> bool:
    """Returns whether the first letter belongs to a right-to-left script."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind in ("R", "AL") for kind in kinds if kind in ("L", "R", "AL")), False)


def _check_length(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            expected=f"at most {MOST_CHARACTERS:,} characters", found=f"{len(text):,}", change="a shorter text"
        )
