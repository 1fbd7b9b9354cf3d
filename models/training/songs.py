"""Songs for voice and piano as rolls: which notes begin and sound at every sixteenth."""

import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import Crops

STEPS = 64  # sixteenths of a window: four bars of 4/4
BAR = 16
LOWEST, PITCHES = 31, 64  # MIDI: G1 to D7, which holds 99.5 % of the notes as they are written
OFF_GRID = 0.1  # of the notes of a window; with more of them (triplets) its rhythm would not survive
CONTEXT = 4  # bars before and after a window that its key is told by, too

# Channels of a roll. A note's first step is in both of its part's.
VOICE_ONSET, VOICE_HELD, PIANO_ONSET, PIANO_HELD = range(4)

KEYS = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B",
        "Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm"]
# How well each pitch class fits a key whose tonic is the first (Krumhansl & Kessler 1982).
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def roll_of(notes: list[tuple[int, int, int, int]], steps: int, lowest: int = LOWEST, pitches: int = PITCHES) -> np.ndarray:
    """uint8 [4, pitches, steps] of notes (part, first step, steps, MIDI pitch), part 0 the voice, 1 the piano. What lies outside
    is left out; a note that began before step 0 is held there, and has no onset."""
    roll = np.zeros((4, pitches, steps), np.uint8)
    for part, first, length, pitch in notes:
        row, last = pitch - lowest, min(first + length, steps)
        if 0 <= row < pitches and first < last and last > 0:
            if first >= 0:
                roll[2 * part, row, first] = 1
            roll[2 * part + 1, row, max(first, 0):last] = 1
    return roll


def notes_of(roll: np.ndarray, lowest: int = LOWEST) -> list[tuple[int, int, int, int]]:
    """The notes of a roll [4, pitches, steps] of 0 and 1, by part, step and pitch. Each begins at an onset, and lasts while it is
    held and none begins anew. What is held without an onset before it is none."""
    notes = []
    for part in (0, 1):
        onset, held = roll[2 * part] != 0, roll[2 * part + 1] != 0
        for step, row in np.argwhere(onset.T):
            last = step + 1
            while last < roll.shape[2] and held[row, last] and not onset[row, last]:
                last += 1
            notes.append((part, int(step), int(last - step), lowest + int(row)))
    return notes


def key_of(durations: np.ndarray) -> np.ndarray:
    """Of pitch classes' durations [..., 12] the key, an index of KEYS, whose profile is most like them (Krumhansl 1990)."""
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    centred = durations - durations.mean(axis=-1, keepdims=True)
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    likeness = centred @ (profiles / np.linalg.norm(profiles, axis=1, keepdims=True)).T
    return likeness.argmax(axis=-1)


def held_out(path: str) -> bool:
    """A tenth of the works, told by composer, collection and title alone: the same on every machine."""
    return hashlib.sha256(path.rsplit("/", 1)[0].encode()).digest()[0] * 10 < 256


def voice_and_piano(parts: list[dict]) -> list[list] | None:
    """The notes of the first voice and of the one part of several staves; none where there is no such pair."""
    staves = [max((note[3] for note in part["notes"]), default=0) for part in parts]
    if 1 not in staves or sum(s > 1 for s in staves) != 1:
        return None
    return [parts[staves.index(1)]["notes"], parts[staves.index(max(staves))]["notes"]]


def stretches(measures: list[list]) -> list[tuple[float, int]]:
    """Where, in quarter notes, bars of 4/4 follow one another, and how many: 4/4 and 2/2 as they are, 2/4 two to a bar."""
    found, begin, length = [], 0.0, 0.0
    for start, quarters, beats, beat_type, _ in [*measures, [0, 0, 0, 1, 0]]:
        whole = (beats, beat_type) in ((4, 4), (2, 2), (2, 4)) and quarters == 4 * beats / beat_type
        if not whole or abs(begin + length - start) > 1e-6:
            found.append((begin, int(length // 4)))
            begin, length = start, 0.0
        if whole:
            length += quarters
    return [(begin, bars) for begin, bars in found if 4 * bars * 4 >= STEPS]


class Songs:
    """Windows of four bars of all songs, [4, 64 pitches, 64 steps] of 0 and 1, in every key."""

    shape = [4, PITCHES, STEPS]
    names = KEYS
    # As the model file has it. A value is drawn 0 or 1, or in between where it might be either; with these thresholds there are as
    # many notes as in songs.
    sample = {"modality": "music", "range": [0, 1], "tempo": 100, "lowest_pitch": LOWEST, "thresholds": [0.4, 0.4]}
    noise = (-0.7, 1.4)  # as Pictures.noise: which notes sound is settled between 2 and 0.3, a note's value being 1
    sheet = (4, 6)
    augmented = staticmethod(lambda x: x)  # transposed already; time and pitch have a direction

    def __init__(self, file: Path, part: str = "train"):
        """file: lieder.jsonl.xz, or a folder that it lies in. part: train, or held_out, the tenth of the works that no training
        sees."""
        file = file / "lieder.jsonl.xz" if file.is_dir() else file
        self.held_out = Songs(file, "held_out") if part == "train" else None
        rolls, starts, labels, works, length = [], [], [], set(), 0
        try:
            lines = lzma.open(file, "rt", encoding="utf-8").readlines()
        except (OSError, lzma.LZMAError) as error:
            raise SystemExit(f"{file}: {error}") from None
        for line in lines:
            song = json.loads(line)
            parts = voice_and_piano(song["parts"])
            if parts is None or held_out(song["path"]) != (part == "held_out"):
                continue
            for begin, bars in stretches(song["measures"]):
                roll, windows, keys = self._stretch(parts, begin, bars)
                rolls.append(roll)
                starts += [length + BAR * w for w in windows]
                labels += keys
                length += bars * BAR
                works.add(song["path"])
        if not starts:
            raise SystemExit(f"{file}: no four bars of 4/4 for voice and piano in it to {part} with")
        self.rolls = np.concatenate(rolls)  # uint8 [steps of all, 4, 128]
        self.starts, self.labels = np.array(starts), torch.tensor(labels)
        self.source = (f"OpenScore Lieder (CC0), {len(works)} songs, {len(starts)} windows of four bars of 4/4" +
                       (", a tenth of the works held out" if part == "train" else ""))

    @staticmethod
    def _stretch(parts: list[list], begin: float, bars: int) -> tuple[np.ndarray, list[int], list[int]]:
        """A stretch's roll [steps, 4, 128], the bars that windows begin with, and their keys."""
        notes, off_grid, all_notes = [], np.zeros(bars), np.zeros(bars)
        for part, given in enumerate(parts):
            for onset, duration, pitch, _ in given:
                first, last = (round(4 * (time - begin)) for time in (onset, onset + duration))
                notes.append((part, first, max(last - first, 1), pitch))
                if 0 <= first < bars * BAR:
                    all_notes[first // BAR] += 1
                    off_grid[first // BAR] += abs(4 * (onset - begin) - first) > 1e-3
        roll = roll_of(notes, bars * BAR, 0, 128).transpose(2, 0, 1)
        held = roll[:, [VOICE_HELD, PIANO_HELD]].astype(np.int64).sum(axis=1)
        classes = np.pad(held, ((0, 0), (0, 4))).reshape(bars, BAR, 11, 12).sum(axis=(1, 2))
        windows = [w for w in range(bars - STEPS // BAR + 1)
                   if off_grid[w:w + 4].sum() <= OFF_GRID * all_notes[w:w + 4].sum() and all_notes[w:w + 4].sum() > 0]
        keys = [int(key_of(classes[max(w - CONTEXT, 0):w + 4 + CONTEXT].sum(axis=0))) for w in windows]
        return roll, windows, keys

    def __len__(self) -> int:
        return len(self.starts)

    def window(self, index: int, up: int = 0) -> np.ndarray:
        """uint8 [4, 64, 64], transposed up by so many semitones."""
        begin, row = self.starts[index], LOWEST - up
        return self.rolls[begin:begin + STEPS, :, row:row + PITCHES].transpose(1, 2, 0)

    def draw(self, count: int) -> Crops:
        """Any of the windows, each as likely as the others, in any key: up by six semitones at most, down by five."""
        index = torch.randint(len(self), (count,))
        up = torch.randint(-5, 7, (count,))
        x = np.stack([self.window(i, u) for i, u in zip(index.tolist(), up.tolist())])
        label = self.labels[index]
        return Crops(torch.from_numpy(x).float(), label // 12 * 12 + (label + up) % 12, torch.ones(1))

    def sigma_data(self) -> float:
        """Standard deviation of all values about their common mean, as they are written."""
        index = range(0, len(self), max(len(self) // 4000, 1))
        mean = float(np.mean([self.window(i).mean() for i in index]))
        return round((mean * (1 - mean)) ** 0.5, 3)

    @staticmethod
    def picture(x: Tensor) -> Tensor:
        """uint8 [N, 3, 64, 64] of rolls: high notes above, the voice red, the piano blue, beginnings darker; on white."""
        ink = torch.tensor([[0.1, 0.9, 0.9], [0.1, 0.5, 0.5], [0.9, 0.8, 0.1], [0.5, 0.4, 0.1]], device=x.device)
        dark = x.clamp(0, 1).unsqueeze(2) * ink.view(1, 4, 3, 1, 1)
        return ((1 - dark.amax(dim=1)) * 255).round().byte().flip(2)
