"""How time grows with size, as a drawing: points on logarithmic axes beside a line of slope 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 55
COLOURS = ("#1f6fb2", "#c2571a", "#3d8b40", "#7a4fa3")
Points = Sequence[tuple[float, float]]


def exponent(points: Points) -> float:
    """The slope of the line through the points [(size, seconds), ...] on logarithmic axes, by least squares: 1 where
    time grows as size does. Needs two points of different size, all values > 0."""
    xs, ys = [log10(x) for x, _ in points], [log10(y) for _, y in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def drawing(title: str, x_name: str, y_name: str, lines: Mapping[str, Points]) -> str:
    """An SVG image of the lines by their names; all values > 0. A dashed line of slope 1 runs through the first point
    of the first line."""
    every = [point for points in lines.values() for point in points]
    low_x, high_x = _around([x for x, _ in every])
    low_y, high_y = _around([y for _, y in every])

    def at(x: float, y: float) -> tuple[float, float]:
        right = (log10(x) - log10(low_x)) / (log10(high_x) - log10(low_x))
        up = (log10(y) - log10(low_y)) / (log10(high_y) - log10(low_y))
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(WIDTH / 2, 22, title, size=15),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name),
        _text(18, (TOP + HEIGHT - BOTTOM) / 2, y_name, turned=True),
    ]
    for x in _ticks(low_x, high_x):
        parts.append(_line(at(x, low_y), at(x, high_y), "#dddddd"))
        parts.append(_text(at(x, low_y)[0], HEIGHT - BOTTOM + 18, _number(x)))
    for y in _ticks(low_y, high_y):
        parts.append(_line(at(low_x, y), at(high_x, y), "#dddddd"))
        parts.append(_text(LEFT - 8, at(low_x, y)[1] + 4, _number(y), anchor="end"))
    first = next(iter(lines.values()))[0]
    most = min(high_x / first[0], high_y / first[1])
    parts.append(_line(at(*first), at(first[0] * most, first[1] * most), "#888888", dashed=True))
    parts.append(_line((LEFT + 16, TOP + 16), (LEFT + 40, TOP + 16), "#888888", dashed=True))
    parts.append(_text(LEFT + 46, TOP + 20, "slope 1", anchor="start"))
    for number, (name, points) in enumerate(lines.items()):
        colour, where = COLOURS[number % len(COLOURS)], [at(*point) for point in points]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in where]
        height = TOP + 34 + 18 * number
        parts.append(_line((LEFT + 16, height), (LEFT + 40, height), colour))
        parts.append(_text(LEFT + 46, height + 4, name, anchor="start"))
    return "\n".join([*parts, "</svg>", ""])


def _around(values: list[float]) -> tuple[float, float]:
    """Round numbers below and above all of them."""
    ticks = _ticks(10.0 ** floor(log10(min(values))), 10.0 ** ceil(log10(max(values)) + 1e-9))
    below, above = [t for t in ticks if t <= min(values)], [t for t in ticks if t >= max(values)]
    low, high = below[-1], above[0]
    return (low, high) if low < high else (low, ticks[ticks.index(low) + 1])


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... from low to high."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [t for p in powers for t in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if low * 0.999 <= t <= high * 1.001]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    places = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {places} stroke="{colour}"{dashes}/>'


def _text(x: float, y: float, words: str, *, anchor: str = "middle", size: int = 12, turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turn}>{words}</text>'
