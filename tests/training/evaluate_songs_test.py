"""What evaluate_songs.py measures, where the answer is known: a scale, two sets alike and two apart, a melody that was copied."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from evaluate_songs import Copies, measures, overlapping_area, random_notes  # noqa: E402
from songs import KEYS, STEPS, roll_of  # noqa: E402

rng = np.random.default_rng(0)
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def test_a_scale() -> None:
    # C major in quarter notes by the voice; the piano plays C below all of it.
    notes = [(0, 4 * i, 4, pitch) for i, pitch in enumerate(SCALE)] + [(1, 0, 32, 48)]
    found = measures(roll_of(notes, STEPS)[None].repeat(2, axis=0), np.array([KEYS.index("C"), KEYS.index("F#")]))
    assert found["in key"][0] == 1 and found["in key"][1] < 0.4  # F# major shares B and F with C major
    assert found["notes"][0] == 9 and found["range"][0] == 24 and found["polyphony"][0] == 2
    assert found["beats in harmony"][0] == 2 / 8  # the first and the last C
    assert found["durations"][0][3] == 8 / 9 and found["pitch classes"][0][0] == 3 / 9
    assert found["pitch classes"][1][6] == 3 / 9  # counted from the tonic
    empty = measures(np.zeros((1, 4, 64, 64), np.uint8), np.array([0]))
    assert empty["notes"][0] == 0 and empty["in key"][0] == 0


def test_areas() -> None:
    same = overlapping_area(rng.normal(size=400), rng.normal(size=400), rng)
    apart = overlapping_area(rng.normal(8, 1, size=400), rng.normal(size=400), rng)
    # 3,000 of 160,000 distances; 8 deviations apart, hardly any distance between is as small as those within.
    assert same > 0.9 and apart < 0.1


def test_copies() -> None:
    melody = [(0, int(4 * i), 4, int(pitch)) for i, pitch in enumerate(rng.integers(50, 80, 64))]
    copies = Copies(SimpleNamespace(rolls=roll_of(melody, 256, 0, 128).transpose(2, 0, 1)))
    # Twelve of its notes, a third higher, behind others.
    stolen = [(0, first - 80 + 12, length, pitch + 4) for _, first, length, pitch in melody[20:32]]
    own = [(0, 0, 4, 85), (0, 4, 4, 90), (0, 8, 4, 45)]
    assert copies.longest(roll_of(own + stolen, STEPS)) == 12
    assert copies.longest(roll_of(melody[:16], STEPS)) == 16
    assert copies.longest(np.zeros((4, 64, 64), np.uint8)) == 1


def test_random_notes_are_as_many() -> None:
    roll = roll_of([(p, 8 * i, 3, pitch) for p in (0, 1) for i, pitch in enumerate(SCALE)], STEPS)
    found = measures(random_notes(np.stack([roll] * 50), rng), np.zeros(50, int))
    assert 13 < found["notes"].mean() <= 16  # of those that fall on one place, one is left
    assert found["in key"].mean() < 0.75 and found["range"].max() <= 12


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: passed")
