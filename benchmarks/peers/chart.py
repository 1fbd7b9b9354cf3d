"""The report as bars, an SVG."""

from html import escape

from peers import PEERS
from results import Report
from tables import ONESTEP, number, shown_peers

NAMES, BARS, NUMBERS, GAP = 230, 150, 60, 24  # widths, in pixels: of peers' names, the longest bar, its number
ROW, HEAD, TOP = 18, 46, 56
OURS, FP32, BF16, INK, PALE = "#d9480f", "#868e96", "#495057", "#212529", "#868e96"


def text(x: float, y: float, words: str, size: int = 11, anchor: str = "start", fill: str = INK,
         weight: str = "normal") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def colour(peer: str) -> str:
    return OURS if peer in ONESTEP else BF16 if PEERS[peer].precision == "bf16" else FP32


def panel(report: Report, network: str, batch: int, peers: list[str], x: float, y: float) -> list[str]:
    """The peers' bars at one batch size; the longest is the fastest's."""
    cells = [report.speeds[network, batch, peer] for peer in peers]
    most = max((cell.median for cell in cells if cell.values), default=1)
    parts = [text(x, y - 8, f"batch {batch}", fill=PALE)]
    for row, (peer, cell) in enumerate(zip(peers, cells)):
        top = y + row * ROW
        weight = "bold" if peer in ONESTEP else "normal"
        if cell.values:
            width = BARS * cell.median / most
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{ROW - 5}" fill="{colour(peer)}"/>')
            parts.append(text(x + width + 5, top + 10, number(cell.median), weight=weight))
        else:
            parts.append(text(x, top + 10, "-", fill=PALE))
    return parts


def svg(report: Report) -> str:
    width = NAMES + len(report.batches) * (BARS + NUMBERS + GAP)
    parts, y = [text(16, 28, "Images a second, more is better", 16, weight="bold"),
                text(16, 46, f"{report.processor}, {report.threads} threads", fill=PALE)], TOP
    for network in report.facts:
        peers = [peer for peer in shown_peers(report)
                 if any(report.speeds[network, batch, peer].values for batch in report.batches)]
        y += HEAD
        parts.append(text(16, y - 26, network, 13, weight="bold"))
        for row, peer in enumerate(peers):
            parts.append(text(NAMES - 8, y + row * ROW + 10, PEERS[peer].title, anchor="end",
                              weight="bold" if peer in ONESTEP else "normal"))
        for column, batch in enumerate(report.batches):
            parts += panel(report, network, batch, peers, NAMES + column * (BARS + NUMBERS + GAP), y)
        y += len(peers) * ROW
    height = y + 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="system-ui, sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(parts) + "\n</svg>\n")
