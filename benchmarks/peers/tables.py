"""The report as Markdown."""

from peers import PEERS
from results import NO_DIFFERENCE, Cell, Report

ONESTEP = [name for name, peer in PEERS.items() if peer.start is None]


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def spread(cell: Cell) -> str:
    if not cell.values:
        return "-"
    if len(cell.values) == 1:
        return number(cell.median)
    return f"{number(cell.median)} ({number(min(cell.values))} to {number(max(cell.values))})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown_peers(report: Report) -> list[str]:
    return list(dict.fromkeys(peer for _, _, peer in report.speeds))


def title(peer: str, cells: list[Cell]) -> str:
    if peer not in ONESTEP:
        return PEERS[peer].title
    computed = next((cell.precision for cell in cells if cell.values), PEERS[peer].precision)
    return f"**onestep, auto: {computed}**" if PEERS[peer].precision == "auto" else f"**{PEERS[peer].title}**"


def speeds(report: Report, network: str) -> str:
    facts, rows = report.facts[network], []
    why_missing: dict[str, dict[str, list[str]]] = {}  # by reason and peer: batch sizes
    for peer in shown_peers(report):
        cells = [report.speeds[network, batch, peer] for batch in report.batches]
        for batch, cell in zip(report.batches, cells):
            if cell.missing and cell.missing != NO_DIFFERENCE:
                why_missing.setdefault(cell.missing, {}).setdefault(PEERS[peer].title, []).append(str(batch))
        measured = [cell for cell in cells if cell.values]
        if measured:
            gflops = facts["operations"] * max(cell.median for cell in measured) / 1e9
            share = 100 * gflops / report.peak[measured[0].precision]["product"]
            rows.append([title(peer, cells), *map(spread, cells), f"{gflops:.0f}", f"{share:.0f} %",
                         f"{max(cell.peak_bytes for cell in measured) / 1e6:.0f}"])
    head = ["images/s", *[f"batch {batch}" for batch in report.batches], "GFLOP/s", "of peak", "MB at most"]
    shape = " x ".join(map(str, facts["shape"]))
    text = (f"## {network}\n\n{shape}, {facts['parameters'] / 1e6:.1f} million parameters, "
            f"{facts['operations'] / 1e9:.2f} GFLOP an image.\n\n{table(head, rows)}")
    for why, peers in why_missing.items():
        what = [f"{name} (batch {', '.join(batches)})" for name, batches in peers.items()]
        text += f"\nNot measured, as {why}: {'; '.join(what)}.\n"
    return text


def ratio(report: Report, network: str, batch: int, ours: str, peers: list[str]) -> str:
    """How many times as fast onestep is as the fastest of these peers."""
    cell, other = report.speeds.get((network, batch, ours)), report.fastest(network, batch, peers)
    if not cell or not cell.values or not other:
        return "-"
    name = f" ({PEERS[other].title})" if len(peers) > 1 else ""
    return f"{cell.median / report.speeds[network, batch, other].median:.2f} x{name}"


def ratios(report: Report) -> str:
    def of(precision: str) -> list[str]:
        return [name for name in PEERS if PEERS[name].precision == precision and name not in ONESTEP]

    rows = [[network, str(batch), ratio(report, network, batch, "onestep", ["torchscript"]),
             ratio(report, network, batch, "onestep-fp32", of("fp32")), ratio(report, network, batch, "onestep", of("bf16"))]
            for network in report.facts for batch in report.batches]
    head = ["network", "batch", "auto / TorchScript", "fp32 / fastest peer in fp32", "auto / fastest peer in bf16"]
    return f"## How many times as fast onestep is\n\n{table(head, rows)}"


def cold_starts(report: Report) -> str:
    if not report.cold_starts:
        return ""
    ours, *_ = report.cold_starts.values()
    rows = [[name, spread(cell), f"{cell.median / ours.median:.1f} x" if cell.values and ours.values else "-",
             f"{cell.peak_bytes / 1e6:.0f}"] for name, cell in report.cold_starts.items()]
    return ("## Cold start\n\nFrom the start of the process to the end of it, with one picture written.\n\n"
            + table(["", "seconds", "of onestep", "MB at most"], rows))


def markdown(report: Report) -> str:
    rows = [[precision, *[f"{kinds[kind]:.0f}" for kind in ("product", "convolution")]]
            for precision, kinds in report.peak.items()]
    median, most = (f"{100 * share:.0f} %" for share in report.taken_by_others.values())
    intro = (f"{report.processor}, {report.threads} threads. Medians of rounds (slowest to fastest). GFLOP/s: at the batch "
             "size at which they are most. Peak: what PyTorch reaches in a product of matrices. Other programs took "
             f"{median} of the machine meanwhile, {most} in the worst measurement.\n\n"
             + table(["GFLOP/s at most", "product", "convolution"], rows))
    return "\n".join([intro, *[speeds(report, network) for network in report.facts], ratios(report), cold_starts(report)])
