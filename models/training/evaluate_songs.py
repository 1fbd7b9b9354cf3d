#!/usr/bin/env python3
"""Measures drawn songs against songs that no training saw: python models/training/evaluate_songs.py --data lieder.jsonl.xz CHECKPOINT ...

Windows of four bars, every key as often. Of each: the share of its notes in the scale of the key that was asked for; how many notes
there are, how many sound at once, over how many semitones they spread; how far the sets' shares of pitch classes (counted from the
tonic) and of durations are from those of held-out songs; on how many beats the piano plays the voice's pitch class, where the voice
sounds; and the overlapping area (Yang & Lerch 2020): of the distances among held-out windows, how much they are like the distances
from drawn to held-out ones, 1 being no difference. Copies: the longest run of a part's notes, in any key, that the training songs
have too.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import checkpoint
from diffusion import SIGMA_MAX, Denoiser, heun, karras_levels
from evaluate import HEUN_LEVELS
from songs import BAR, KEYS, LOWEST, PIANO_HELD, PITCHES, STEPS, VOICE_HELD, Songs, notes_of, roll_of

# Natural minor with the raised sixth and seventh: what belongs to the melodic scale up and down.
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 9, 10, 11))
DURATIONS = (1, 2, 3, 4, 6, 8, 12, 16)  # sixteenths; longer ones count as the last


def measures(rolls: np.ndarray, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Of rolls [N, 4, 64, 64] of 0 and 1, each a number a window, or a histogram; of windows without notes zeros."""
    found = {name: [] for name in ("in key", "notes", "polyphony", "range", "beats in harmony", "pitch classes", "durations")}
    for roll, key in zip(rolls, keys):
        notes = notes_of(roll)
        pitch = np.array([p for *_, p in notes], int)
        length = np.array([n for _, _, n, _ in notes], int)
        relative = (pitch - key) % 12
        found["in key"].append(np.isin(relative, SCALES[key // 12]).mean() if notes else 0)
        found["notes"].append(len(notes))
        held = roll[[VOICE_HELD, PIANO_HELD]].any(axis=0).sum(axis=0)
        found["polyphony"].append(held[held > 0].mean() if notes else 0)
        found["range"].append(np.ptp(pitch) if notes else 0)
        voice, piano = (np.pad(roll[c, :, ::BAR // 4], ((LOWEST % 12, 12 - (LOWEST + PITCHES) % 12), (0, 0))).reshape(-1, 12, 16).any(axis=0)
                        for c in (VOICE_HELD, PIANO_HELD))
        sung = voice.any(axis=0) & piano.any(axis=0)
        found["beats in harmony"].append((voice & piano).any(axis=0)[sung].mean() if sung.any() else np.nan)
        total = max(len(notes), 1)
        found["pitch classes"].append(np.bincount(relative, minlength=12) / total)
        found["durations"].append(np.histogram(length, [*DURATIONS, 1e9])[0] / total)
    return {name: np.array(values, float) for name, values in found.items()}


def density(distances: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Kernel density estimate with Scott's rule."""
    width = max(distances.std() * len(distances) ** -0.2, 1e-6)
    return np.exp(-((at[:, None] - distances) / width) ** 2 / 2).mean(axis=1) / (width * (2 * np.pi) ** 0.5)


def overlapping_area(drawn: np.ndarray, real: np.ndarray, rng: np.random.Generator) -> float:
    """Of distances among real windows and from drawn to real ones."""
    drawn, real = (x.reshape(len(x), -1) for x in (drawn, real))

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        i, j = rng.integers(len(a), size=3000), rng.integers(len(b), size=3000)
        keep = i != j if a is b else np.full(3000, True)
        return np.linalg.norm(a[i[keep]] - b[j[keep]], axis=1)

    within, between = distances(real, real), distances(drawn, real)
    at = np.linspace(min(within.min(), between.min()), max(within.max(), between.max()), 400)
    areas = [density(x, at) for x in (within, between)]
    areas = [x / x.sum() for x in areas]  # what is cut off at the ends counts as inside
    return float(np.minimum(*areas).sum())


def lines(notes: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """Of each part, its steps from onset to onset, in any key: how long after, and which notes above the last one's lowest."""
    found = []
    for part in (0, 1):
        groups: dict[int, list[int]] = {}
        for p, first, _, pitch in notes:
            if p == part:
                groups.setdefault(first, []).append(pitch)
        onsets = sorted(groups)
        found.append([hash((b - a, tuple(p - min(groups[a]) for p in sorted(groups[b])))) & 0xFFFFFFFF
                      for a, b in zip(onsets, onsets[1:])])
    return found


def runs(tokens: np.ndarray, length: int) -> np.ndarray:
    """A hash of every run of so many."""
    value = np.zeros(max(len(tokens) - length + 1, 0), np.uint64)
    for i in range(length if len(value) else 0):
        value = value * np.uint64(6364136223846793005) + tokens[i:i + len(value)].astype(np.uint64) + np.uint64(1)
    return value


class Copies:
    """Runs of notes of the training songs."""

    def __init__(self, songs: Songs):
        whole = lines(notes_of(songs.rolls.transpose(1, 2, 0), 0))
        self.known = [[np.unique(runs(np.array(line, np.uint64), n)) for n in range(1, 49)] for line in whole]

    @staticmethod
    def _knows(known: np.ndarray, asked: np.ndarray) -> bool:
        """Whether any is among those, which are in order."""
        place = np.searchsorted(known, asked)
        return bool((known[np.minimum(place, len(known) - 1)] == asked).any())

    def longest(self, roll: np.ndarray) -> int:
        """In either part of a window, in notes (chords count as one)."""
        best = 0
        for line, known in zip(lines(notes_of(roll)), self.known):
            tokens = np.array(line, np.uint64)
            while best < min(len(tokens), len(known)) and self._knows(known[best], runs(tokens, best + 1)):
                best += 1
        return best + 1  # steps from note to note are one fewer than notes


def real(songs: Songs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the set and their keys."""
    torch.manual_seed(1)
    crops = songs.draw(count)
    return crops.x.numpy().astype(np.uint8), crops.labels.numpy()


def random_notes(rolls: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many notes as long as those, at random steps and pitches between each window's lowest and highest."""
    found = []
    for roll in rolls:
        notes = notes_of(roll)
        pitches = [p for *_, p in notes] or [LOWEST]
        found.append(roll_of([(part, int(rng.integers(STEPS)), length, int(rng.integers(min(pitches), max(pitches) + 1)))
                              for part, _, length, _ in notes], STEPS))
    return np.stack(found)


@torch.no_grad()
def draw(file: Path, count: int, calls: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows, every key as often, at the thresholds of the file."""
    about, average = checkpoint.load(file)
    network = checkpoint.config_of(about).build().to(memory_format=torch.channels_last)
    network.load_state_dict(average)
    denoiser = Denoiser(network.eval().requires_grad_(False), about["sigma_data"], about["boundary"])
    keys, found = torch.arange(count) % len(KEYS), []
    torch.manual_seed(0)
    for label in keys.split(24):
        def denoise(x, sigma):
            return denoiser(x, torch.full((len(x),), sigma), label)
        x = torch.randn(len(label), *about["shape"]) * SIGMA_MAX
        found.append(denoise(x, SIGMA_MAX) if about["boundary"] > 0 else heun(denoise, x, karras_levels(HEUN_LEVELS[calls]).tolist())[-1])
    onset, held = about["sample"]["thresholds"]
    levels = torch.tensor([onset, held, onset, held]).view(1, 4, 1, 1)
    return (torch.cat(found) > levels).numpy().astype(np.uint8), keys.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="lieder.jsonl.xz, or a folder that it lies in")
    parser.add_argument("--count", type=int, default=480, help="windows of each set (default %(default)s)")
    parser.add_argument("--teacher-count", type=int, default=240, help="windows of a diffusion model (default %(default)s)")
    parser.add_argument("--calls", type=int, default=35, choices=sorted(HEUN_LEVELS), help="of a diffusion model (default %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    songs, rng = Songs(options.data), np.random.default_rng(0)
    outside = real(songs.held_out, options.count)
    sets = {"held-out songs": real(songs.held_out, 2 * options.count), "training songs": real(songs, options.count),
            "random notes": (random_notes(outside[0], rng), outside[1])}
    sets["held-out songs"] = tuple(x[options.count:] for x in sets["held-out songs"])
    for file in options.checkpoints:
        boundary = checkpoint.load(file)[0]["boundary"]
        sets[file.name] = draw(file, options.count if boundary > 0 else options.teacher_count, options.calls)
    reference, copies = measures(*outside), Copies(songs)
    for name, (rolls, keys) in sets.items():
        of = measures(rolls, keys)
        line = {"set": name, "empty": int((of["notes"] == 0).sum())}
        for what in ("in key", "notes", "polyphony", "range", "beats in harmony"):
            line[what] = round(float(np.nanmean(of[what])), 3)
        for what in ("pitch classes", "durations"):
            line[what] = round(float(np.abs(of[what].mean(axis=0) - reference[what].mean(axis=0)).sum() / 2), 3)
        areas = [overlapping_area(of[what], reference[what], rng) for what in of if what != "beats in harmony"]
        line["overlapping area"] = round(float(np.mean(areas)), 3)
        run = np.array([copies.longest(roll) for roll in rolls[:240]])
        line |= {"longest run, median": int(np.median(run)), "95 %": int(np.quantile(run, 0.95)), "longest": int(run.max())}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
