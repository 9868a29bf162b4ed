"""Mails from templates of ours: every value is escaped in HTML, and no value is a template."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byok import in_words

if TYPE_CHECKING:
    from css_inline import CSSInliner
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def html(template: str, *, preview: bool = False, **facts: Any) -> str:
    """The HTML part, its style in each tag; what holds in dark mode or on a phone stays a style sheet.

    A `preview` for a page of ours carries a policy that loads and runs nothing.
    """
    head = (_TEMPLATES / "head.css").read_text(encoding="utf-8")
    page = _environment(True).get_template(template).render(**facts, head=head, preview=preview, change=_change)
    return _inliner().inline("\n".join(line for line in page.splitlines() if line.strip()))


def text(template: str, **facts: Any) -> str:
    """The plain part."""
    return _environment(False).get_template(template).render(**facts, change=_change)


def _change(figure: Any) -> str:
    if not figure.before:
        return ""
    if figure.change is None:
        return f"before: {figure.before}"
    if abs(figure.change) < 0.0005:
        return f"as before: {figure.before}"
    return f"{in_words.signed_percent(figure.change)} from {figure.before}"


@cache
def _environment(escaped: bool) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # the first mail waits for it, not the start

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=escaped,  # noqa: S701 - off for plain text only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _inliner() -> "CSSInliner":
    import css_inline

    style = (_TEMPLATES / "mail.css").read_text(encoding="utf-8")
    return css_inline.CSSInliner(inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False, extra_css=style)
