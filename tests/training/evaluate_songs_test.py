"""What evaluate_songs.py measures, where the answer is known: a scale, two sets alike and two apart, a melody that was copied, one that is
harmonised. Usage: evaluate_songs_test.py ONESTEP"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import torch

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS / "training"))
from evaluate_songs import (Copies, accompanied, alike, draw, in_the_same_key, measures, overlapping_area, random_notes,  # noqa: E402
                            with_piano_of)
from songs import KEYS, LOWEST, PITCHES, STEPS, Songs, notes_of, roll_of  # noqa: E402

os.environ["ONESTEP"] = sys.argv[1]

rng = np.random.default_rng(0)
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def test_a_scale() -> None:
    # C major in quarter notes by the voice; the piano plays C below all of it.
    notes = [(0, 4 * i, 4, pitch) for i, pitch in enumerate(SCALE)] + [(1, 0, 32, 48)]
    found = measures(roll_of(notes, STEPS)[None].repeat(2, axis=0), np.array([KEYS.index("C"), KEYS.index("F#")]))
    assert found["in key"][0] == 1 and found["in key"][1] < 0.4  # F# major shares B and F with C major
    assert found["notes"][0] == 9 and found["range"][0] == 24 and found["polyphony"][0] == 2
    assert found["beats in harmony"][0] == 2 / 8  # the first and the last C
    assert found["beats accompanied"][0] == 1
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


def set_of(rolls: list[np.ndarray], names: list[str]) -> Songs:
    """As Songs: windows one after the other, of 128 pitches."""
    whole = np.concatenate([np.pad(roll, ((0, 0), (LOWEST, 128 - LOWEST - PITCHES), (0, 0))).transpose(2, 0, 1) for roll in rolls])

    class Set:
        rolls, starts, labels = whole, STEPS * np.arange(len(whole) // STEPS), torch.tensor([KEYS.index(label) for label in names])

        def __len__(self) -> int:
            return len(self.starts)

        def window(self, index: int, up: int = 0) -> np.ndarray:
            begin, row = self.starts[index], LOWEST - up
            return self.rolls[begin:begin + STEPS, :, row:row + PITCHES].transpose(1, 2, 0)

    return Set()


def song(up: int, by: int = 1) -> np.ndarray:
    """A melody and one chord, so many semitones up; every so many of its notes."""
    chord = [(1, 0, STEPS, 48 + up + pitch) for pitch in (0, 4, 7)]
    return roll_of([(0, 4 * i, 4, pitch + up) for i, pitch in enumerate(SCALE)][::by] + chord, STEPS)


def test_the_song_most_alike_is_found_in_any_key() -> None:
    noise = roll_of([(0, int(i), 2, int(p)) for i, p in enumerate(rng.integers(50, 80, 60))], STEPS)
    songs = set_of([noise, song(3), song(0, 3)], ["C", "Eb", "C"])
    # A third of the melody is in both; the whole of it three semitones up alone.
    np.testing.assert_array_equal(alike(songs, np.stack([song(5)])), song(5)[None])
    np.testing.assert_array_equal(in_the_same_key(np.stack([song(5)]), np.array([KEYS.index("F")]), set_of([song(3)], ["Eb"])), song(5)[None])


def test_the_voice_of_one_with_the_piano_of_another() -> None:
    both = with_piano_of(song(0)[None], song(5)[None])
    assert measures(both, np.array([0]))["beats in harmony"][0] == 4 / 8  # F, A and the two Cs
    np.testing.assert_array_equal(both[0, :2], song(0)[:2])


def test_a_model_file_draws_and_harmonises() -> None:
    rolls, keys = draw(MODELS / "songs.pt", 24, 1)
    assert rolls.shape == (24, 4, PITCHES, STEPS) and keys.tolist() == list(range(24)) and set(np.unique(rolls)) == {0, 1}
    given = np.stack([song(0), song(5)])
    drawn = accompanied(MODELS / "songs.pt", given)
    for roll, of in zip(drawn, given):
        notes = notes_of(roll)
        # Behind the melody's last bar, the second, the model is free to sing on.
        assert [note for note in notes if note[0] == 0 and note[1] < STEPS // 2] == [note for note in notes_of(of) if note[0] == 0]
        assert sum(part for part, *_ in notes) > 4


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: passed")
