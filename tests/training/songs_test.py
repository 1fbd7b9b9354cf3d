"""Songs: notes become rolls and rolls notes again, keys are told, works held out, windows transposed."""

import json
import lzma
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from songs import (BAR, KEYS, LOWEST, PIANO_HELD, PIANO_ONSET, PITCHES, STEPS, VOICE_ONSET, Songs, held_out,  # noqa: E402
                   key_of, notes_of, roll_of, stretches, voice_and_piano)

rng = np.random.default_rng(0)


def random_notes(count: int) -> list[tuple[int, int, int, int]]:
    """Any within the roll, by part, step and pitch; of two at one place, one."""
    notes = {}
    for _ in range(count):
        part, first, pitch = int(rng.integers(2)), int(rng.integers(STEPS)), int(rng.integers(LOWEST, LOWEST + PITCHES))
        notes[part, first, pitch] = int(rng.integers(1, STEPS - first + 1))
    # A note ends where the next of its pitch begins.
    for part, first, pitch in notes:
        later = [f for p, f, other in notes if (p, other) == (part, pitch) and f > first]
        notes[part, first, pitch] = min([notes[part, first, pitch], *(f - first for f in later)])
    return sorted((part, first, length, pitch) for (part, first, pitch), length in notes.items())


def test_notes_and_rolls() -> None:
    for count in (0, 1, 30, 500):
        notes = random_notes(count)
        roll = roll_of(notes, STEPS)
        assert sorted(notes_of(roll)) == notes
        assert np.array_equal(roll_of(notes_of(roll), STEPS), roll)
    # Repeated at once, held over the end, below and above the roll.
    roll = roll_of([(0, 0, 2, 60), (0, 2, 1, 60), (1, 60, 9, 70), (1, 0, 4, LOWEST - 1), (1, 0, 4, LOWEST + PITCHES)], STEPS)
    assert notes_of(roll) == [(0, 0, 2, 60), (0, 2, 1, 60), (1, 60, 4, 70)]
    # What began before is held, without an onset, and is no note by itself.
    carried = roll_of([(1, -3, 5, 60)], STEPS)
    assert carried[PIANO_HELD].sum() == 2 and carried[PIANO_ONSET].sum() == 0 and notes_of(carried) == []
    # Any roll's notes make a roll whose notes are the same.
    noise = (rng.random((4, PITCHES, STEPS)) < 0.3).astype(np.uint8)
    notes = notes_of(noise)
    assert notes_of(roll_of(notes, STEPS)) == notes and len(notes) == noise[[VOICE_ONSET, PIANO_ONSET]].sum()


def test_keys() -> None:
    scale, minor = [0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 11]
    for tonic in range(12):
        for mode, steps in ((0, scale), (12, minor)):
            durations = np.zeros(12)
            durations[[(tonic + s) % 12 for s in steps]] = 1
            durations[[(tonic + steps[i]) % 12 for i in (0, 2, 4)]] += 2  # the triad of the tonic
            assert KEYS[key_of(durations)] == KEYS[mode + tonic]


def test_bars() -> None:
    four = [[4.0 * i, 4.0, 4, 4, 0] for i in range(4)]
    assert stretches(four) == [(0.0, 4)]
    assert stretches([[2.0 * i, 2.0, 2, 4, 0] for i in range(11)]) == [(0.0, 5)]
    # An upbeat and three-four time break what is counted; three bars are too few for a window.
    assert stretches([[0.0, 1.0, 4, 4, 0], *[[1.0 + m[0], *m[1:]] for m in four], [17.0, 3.0, 3, 4, 0],
                      *[[20.0 + m[0], *m[1:]] for m in four[:3]]]) == [(1.0, 4)]


def song(path: str, notes: list, bars: int) -> str:
    return json.dumps({"path": path, "measures": [[4.0 * i, 4.0, 4, 4, 0] for i in range(bars)],
                       "parts": [{"name": "Voice", "notes": [[*note, 1] for note in notes]},
                                 {"name": "Piano", "notes": [[*note, 2] for note in notes]}]}) + "\n"


def test_windows() -> None:
    melody = [[i, 0.5, 60 + [0, 4, 7, 5][i % 4]] for i in range(24)]
    triplets = [[i / 3, 1 / 3, 60] for i in range(72)]
    names = [f"Somebody/Songs/{i}/x.mxl" for i in range(40)]
    assert 0 < sum(map(held_out, names)) < 20  # about a tenth
    assert held_out("a/b/c/1.mxl") == held_out("a/b/c/2.mxl")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lieder.jsonl.xz"
        with lzma.open(file, "wt") as packed:
            for name in names:
                packed.write(song(name, melody, 6))
            packed.write(song("Somebody/Songs/41/x.mxl", triplets, 6))
        songs = Songs(Path(folder))
    assert len(songs) + len(songs.held_out) == 3 * 40  # 6 bars have 3 windows of four; triplets are not on the grid
    assert len(songs.held_out) == 3 * sum(map(held_out, names))
    first = notes_of(songs.window(1))
    assert first[:2] == [(0, 0, 2, 60), (0, 4, 2, 64)] and len(first) == 2 * 16
    assert notes_of(songs.window(1, up=3)) == [(p, f, n, pitch + 3) for p, f, n, pitch in first]
    torch.manual_seed(0)
    crops = songs.draw(100)
    assert crops.x.shape == (100, 4, PITCHES, STEPS) and set(crops.x.unique().tolist()) == {0.0, 1.0}
    for x, label in zip(crops.x, crops.labels):  # the melody begins with its tonic at a bar's first step
        pitches = {pitch % 12 for _, first, _, pitch in notes_of(x.numpy()) if first % BAR == 0}
        assert pitches == {int(label) % 12} and label < 12


def test_parts() -> None:
    voice, piano, choir = {"notes": [[0, 1, 60, 1]]}, {"notes": [[0, 1, 48, 2]]}, {"notes": [[0, 1, 55, 1]]}
    assert voice_and_piano([voice, choir, piano]) == [voice["notes"], piano["notes"]]
    for parts in ([], [voice], [piano], [voice, choir], [voice, piano, piano]):
        assert voice_and_piano(parts) is None


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: passed")
