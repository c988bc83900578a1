"""The picture of a pipeline's path beside that of its workload, as SVG of fixed geometry.

Nothing can be measured while the file is written, so text is broken by estimated width; there is no style attribute, which
the page's policy would not allow. The same path is a list below the picture for narrow screens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.html.chain import Chain, Node

WIDTH = 1120
GAP = 26
CARD_HEIGHT = 74
WIDEST_CARD = 200


def text_width(text: str, size: float) -> float:
    """Estimate the width of bold text in a wide sans serif (DejaVu Sans), in pixels."""
    return size * sum(
        0.95
        if letter in "mwMW%@"
        else 0.76
        if letter.isupper() or letter == "_"
        else 0.38
        if letter in "ijl.:,;|'!/ "
        else 0.66
        for letter in text
    )


def wrap(text: str, size: float, most: float, lines: int) -> list[str]:
    """Break text at separators into lines of at most ``most`` pixels; what does not fit ends with an ellipsis."""
    out: list[str] = []
    line = ""
    for part in re.findall(r"[^\s\-/:_.]+[\-/:_.]*|\S|\s+", text):
        rest = part
        while text_width(rest, size) > most and len(rest) > 1:
            fits = next(
                (end for end in range(1, len(rest)) if text_width(rest[: end + 1], size) > most), len(rest)
            )
            if line.strip():
                out.append(line.strip())
                line = ""
            out.append(rest[:fits])
            rest = rest[fits:]
        if text_width((line + rest).rstrip(), size) > most and line:
            out.append(line.strip())
            line = rest.lstrip()
        else:
            line += rest
    if line.strip():
        out.append(line.strip())
    if len(out) > lines:
        last = out[lines - 1]
        while last and text_width(last + "…", size) > most:
            last = last[:-1]
        out = [*out[: lines - 1], last + "…"]
    return out


class _Drawing:
    """The parts of one picture."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(
        self, kind: str, x: float, y: float, rows: Sequence[str], *, lead: float = 0, anchor: str = "start"
    ) -> None:
        self.parts += [
            f'<text class="{kind}" x="{x:.0f}" y="{y + number * lead:.0f}" text-anchor="{anchor}">{escape(row)}</text>'
            for number, row in enumerate(rows)
        ]

    def card(self, x: float, y: float, width: float, node: Node, tone: str) -> None:
        self.parts.append(
            f'<rect class="card {tone}" x="{x:.1f}" y="{y:.0f}" width="{width:.1f}" height="{CARD_HEIGHT}" rx="6"/>'
        )
        self.text("kind", x + 10, y + 17, wrap(node.kind, 10.5, width - 16, 1))
        self.text(
            f"name {tone}",
            x + 10,
            y + 34,
            wrap(node.name, 12.5, width - 20, 2 if node.power else 3),
            lead=14.5,
        )
        if node.power:
            self.text(f"power {tone}", x + 10, y + CARD_HEIGHT - 9, wrap(node.power, 11, width - 16, 1))

    def arrow(self, left: float, right: float, y: float, tone: str) -> None:
        self.parts.append(
            f'<path class="edge {tone}" d="M{left:.1f} {y:.0f}H{right - 5:.1f}"/>'
            f'<path class="tip {tone}" d="M{right:.1f} {y:.0f}l-8 -4.5v9z"/>'
        )


class _Columns(NamedTuple):
    """The columns of a picture, in pixels."""

    step: float
    width: float

    @property
    def last(self) -> int:
        """The index of the last column."""
        return round((WIDTH - self.width) / self.step)


def draw_path(chain: Chain, own: Chain, changes: Sequence[str], ends: str, title: str) -> Markup:
    """Return the picture. ``changes`` end the excess, in order; ``ends`` says what the first of them does."""
    nodes, cut = chain.nodes, chain.cut
    width = min(WIDEST_CARD, (WIDTH - GAP * (len(nodes) - 1)) / len(nodes))
    step = (WIDTH - width) / (len(nodes) - 1)
    top = 14 + 12 * max(len(wrap(node.via, 10.5, step - 14, 3)) for node in nodes)
    middle = top + CARD_HEIGHT / 2
    drawing = _Drawing()
    for number, node in enumerate(nodes):
        x = number * step
        tone = "hot" if cut is not None and number > cut else ""
        if number:
            before = x - step + width
            drawing.arrow(before + 2, x - 1, middle, tone)
            rows = wrap(node.via, 10.5, step - 14, 3)
            first = " hot" if cut is not None and number == cut + 1 else ""
            drawing.text(
                f"via{first}",
                (before + x) / 2,
                top - 8 - 12 * (len(rows) - 1),
                rows,
                lead=12,
                anchor="middle",
            )
        drawing.card(x, top, width, node, tone)
    base = top + CARD_HEIGHT
    bottom = base + 22
    if cut is not None and changes:
        rows = [
            row
            for number, change in enumerate(changes[:4], start=1)
            for row in _change(number, change, len(changes))
        ]
        if len(changes) > 4:
            rows.append(f"and {len(changes) - 4} more, listed in the finding")
        height = 28 + 16 * len(rows)
        x = cut * step + width + (step - width) / 2
        left = min(max(x - 360, 0), WIDTH - 720)
        drawing.parts.append(
            f'<path class="cutline" d="M{x:.1f} {middle - 20:.0f}V{bottom:.0f}"/>'
            f'<circle class="cutdot" cx="{x:.1f}" cy="{middle:.0f}" r="10"/>'
            f'<path class="cutx" d="M{x - 4:.1f} {middle - 4:.0f}l8 8m0 -8l-8 8"/>'
            f'<rect class="cutbox" x="{left:.1f}" y="{bottom:.0f}" width="720" height="{height}" rx="6"/>'
        )
        drawing.text("cuthead", left + 14, bottom + 19, [ends])
        drawing.text("cuttext", left + 14, bottom + 37, rows, lead=16)
        bottom += height + 26
    _draw_workload(drawing, own, bottom, base, _Columns(step, width))
    full = bottom + CARD_HEIGHT + 4
    return Markup(  # noqa: S704  every text in it was escaped
        f'<svg class="chainpic" viewBox="-1 0 {WIDTH + 2} {full:.0f}" role="img"><title>{escape(title)}</title>'
        f"{''.join(drawing.parts)}</svg>"
    )


def _change(number: int, change: str, of: int) -> list[str]:
    return wrap(change if of == 1 else f"{number}. {change}", 11, 690, 3)


def _draw_workload(drawing: _Drawing, own: Chain, y: float, base: float, columns: _Columns) -> None:
    """Draw the workload below the pipeline's workflow, and its own path on the same columns."""
    step, width = columns
    last = len(own.nodes) - 1
    at = (
        [1, *range(columns.last - last + 1, columns.last + 1)]
        if last < columns.last - 1
        else list(range(1, last + 2))
    )
    x = step + width / 2
    drawing.parts.append(
        f'<path class="edge deliver" d="M{x:.1f} {base + 2:.0f}V{y - 7:.0f}"/>'
        f'<path class="tip deliver" d="M{x:.1f} {y - 1:.0f}l-4.5 -8h9z"/>'
    )
    drawing.text("via", x + 8, base + 14, ["deploys"])
    before: float | None = None
    for node, column in zip(own.nodes, at, strict=True):
        left = column * step
        if before is not None:
            drawing.arrow(before + 2, left - 1, y + CARD_HEIGHT / 2, "own")
            # Beside a short arrow there is no room: the text stands above the cards.
            room = left - before - 16
            inside = text_width(node.via, 10.5) <= room
            drawing.text(
                "via",
                (before + left) / 2,
                y + CARD_HEIGHT / 2 - 7 if inside else y - 8,
                wrap(node.via, 10.5, room if inside else step - 14, 1),
                anchor="middle",
            )
        drawing.card(left, y, width, node, "own")
        before = left + width
    drawing.text("lane", 0, y + 20, wrap("What the workload itself may do", 11.5, width - 10, 3), lead=14)
