// Pieces of music: what is given is in them, whatever their length.
#include "onestep/compose.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "../shown_notes.hpp"
#include "onestep/save.hpp"
#include "roll.hpp"

namespace onestep {

namespace {

/// The voice sings the tonic at every beat, the piano plays the triad twice a bar and holds a note that never begins.
const Generator& triads() {
  static const Generator generator = Generator::load(ONESTEP_TINY_MODELS "/triads.pt");
  return generator;
}

std::vector<Note> notes_of(const Piece& piece) {
  const DataSpace& data = triads().info().data;
  return notes_of_roll(piece.sample.values, piece.sample.shape, data.range_low, data.range_high, data.roll);
}

std::vector<Note> of_part(const std::vector<Note>& notes, Part part, std::int64_t from = 0) {
  std::vector<Note> found;
  for (const Note& note : notes) {
    if (note.part == part && note.start >= from) found.push_back(note);
  }
  return found;
}

std::vector<Note> drawn_voice(int tonic, std::int64_t from, std::int64_t sixteenths) {
  std::vector<Note> notes;
  for (std::int64_t start = from; start < sixteenths; start += 4) notes.push_back({Part::voice, start, 4, 60 + tonic});
  return notes;
}

std::vector<Note> drawn_piano(int tonic, bool minor, std::int64_t from, std::int64_t sixteenths) {
  std::vector<Note> notes;
  for (std::int64_t start = from; start < sixteenths; start += 8) {
    for (const int step : {0, minor ? 3 : 4, 7}) notes.push_back({Part::piano, start, 8, 60 + tonic + step});
  }
  return notes;
}

TEST(Compose, DrawsAsManyBarsAsAreAskedFor) {
  for (const std::int64_t bars : {1, 2, 7, 40}) {
    const Piece piece = compose(triads(), {.bars = bars, .seed = 3, .key = 14});
    EXPECT_EQ(piece.sample.shape, (std::vector<std::int64_t>{4, 24, 16 * bars}));
    EXPECT_EQ(piece.sample.label, 14);
    EXPECT_EQ(piece.report.levels, (std::vector<double>{80, 0.5}));
    EXPECT_EQ(of_part(notes_of(piece), Part::voice), drawn_voice(2, 0, 16 * bars));
    EXPECT_EQ(of_part(notes_of(piece), Part::piano), drawn_piano(2, true, 0, 16 * bars));
  }
}

TEST(Compose, GoesOnWhereAShorterPieceEnds) {
  const Piece small = compose(triads(), {.bars = 3, .seed = 5, .key = 0});
  const Piece large = compose(triads(), {.bars = 9, .seed = 5, .key = 0});
  const Piece other = compose(triads(), {.bars = 3, .seed = 6, .key = 0});
  for (std::int64_t row = 0; row < 4 * 24; ++row) {
    for (std::int64_t i = 0; i < 48; ++i) {
      ASSERT_EQ(small.sample.values[static_cast<std::size_t>(row * 48 + i)],
                large.sample.values[static_cast<std::size_t>(row * 144 + i)]);
    }
  }
  EXPECT_NE(small.sample.values, other.sample.values);
}

/// A melody of the key of F minor, with rests, of a length that ends within a bar.
Score melody() {
  std::mt19937 random(4);
  constexpr int scale[] = {65, 67, 68, 70, 72, 73, 76, 65, 68, 72};
  Score score;
  for (std::int64_t start = 0; start < 70;) {
    const auto length = static_cast<std::int64_t>(1 + random() % 5);
    if (random() % 4 != 0) score.notes.push_back({Part::voice, start, length, scale[random() % 10]});
    start += length;
  }
  return score;
}

TEST(Compose, HarmonisesAMelodyAndKeepsAllOfIt) {
  const Score given = melody();
  ASSERT_EQ(bars_of(given), 5);
  ASSERT_EQ(key_of(given), 17);
  const Piece piece = compose(triads(), {.given = Harmonise{given}, .bars = 8});
  const std::vector<Note> notes = notes_of(piece);
  std::vector<Note> expected = given.notes;
  for (const Note& note : drawn_voice(5, 80, 128)) expected.push_back(note);
  EXPECT_EQ(of_part(notes, Part::voice), expected);
  EXPECT_EQ(of_part(notes, Part::piano), drawn_piano(5, true, 0, 128));
  EXPECT_EQ(piece.sample.label, 17);
  EXPECT_EQ(compose(triads(), {.given = Harmonise{given}, .bars = 8, .key = 3}).sample.label, 3);
}

TEST(Compose, ContinuesAMotifAndKeepsAllOfIt) {
  // Of the piano, a note that ends with the motif and is at once held by what is drawn behind it.
  Score given = melody();
  for (const Note& note : {Note{Part::piano, 3, 5, 61}, Note{Part::piano, 8, 72, 83}, Note{Part::piano, 70, 2, 60}})
    given.notes.push_back(note);
  const std::vector<Note> notes = notes_of(compose(triads(), {.given = Continue{given}, .bars = 9, .key = 1}));
  std::vector<Note> expected = given.notes;
  for (const Note& note : drawn_piano(1, false, 80, 144)) expected.push_back(note);
  const std::vector<Note> voice = drawn_voice(1, 80, 144);
  expected.insert(std::find_if(expected.begin(), expected.end(), [](const Note& n) { return n.part == Part::piano; }),
                  voice.begin(), voice.end());
  EXPECT_EQ(notes, expected);
}

TEST(Compose, AccompaniesTheMotifThatItContinuesWhereItHasNone) {
  const std::vector<Note> notes = notes_of(compose(triads(), {.given = Continue{melody()}, .bars = 6, .key = 1}));
  EXPECT_EQ(of_part(notes, Part::piano), drawn_piano(1, false, 0, 96));
}

TEST(Compose, LooksAtTheVoiceAloneOfWhatItHarmonises) {
  Score given = melody();
  // Neither their bars, nor their key, nor a pitch that the model does not have.
  for (std::int64_t start = 0; start < 160; start += 16) given.notes.push_back({Part::piano, start, 16, 61});
  given.notes.push_back({Part::piano, 0, 4, 20});
  const Composition composition{.given = Harmonise{given}};
  EXPECT_EQ(bars_of(composition), 5);
  const Piece with = compose(triads(), composition), without = compose(triads(), {.given = Harmonise{melody()}});
  EXPECT_EQ(with.sample.label, 17);
  EXPECT_EQ(with.sample.values, without.sample.values);
}

TEST(Compose, FillsAGapAndKeepsWhatBeginsBeyondIt) {
  // A gap of the bars 2 and 3, sixteenths 16 to 47. Notes that begin before it last into it, and through it; one that
  // begins in it goes, with what of it lies behind.
  const std::vector<Note> before{{Part::voice, 0, 3, 61}, {Part::voice, 14, 5, 63}, {Part::piano, 8, 60, 71}},
      after{{Part::voice, 48, 4, 66}, {Part::piano, 60, 4, 64}};
  Score given{before};
  given.notes.push_back({Part::voice, 20, 4, 68});
  given.notes.push_back({Part::piano, 40, 20, 75});
  given.notes.insert(given.notes.end(), after.begin(), after.end());
  const Composition composition{.given = Fill{given, 2, 3}, .key = 1};
  EXPECT_EQ(bars_of(composition), 5);  // the piano's 71 ends in the fifth
  std::vector<Note> expected = before;
  expected.insert(expected.end(), after.begin(), after.end());
  for (const Note& note : drawn_voice(1, 16, 48)) expected.push_back(note);
  for (const Note& note : drawn_piano(1, false, 16, 48)) expected.push_back(note);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(notes_of(compose(triads(), composition)), expected);
}

TEST(Compose, FillsAGapAtTheEndAndInTheKeyOfWhatStays) {
  Score given = melody();
  for (std::int64_t start = 80; start < 300; start += 4) given.notes.push_back({Part::piano, start, 4, 61});
  const Piece piece = compose(triads(), {.given = Fill{given, 6, 20}});
  EXPECT_EQ(piece.sample.shape[2], 320);
  EXPECT_EQ(piece.sample.label, 17);
  EXPECT_EQ(of_part(notes_of(piece), Part::piano), drawn_piano(5, true, 80, 320));
}

TEST(Compose, HasAsManyBarsAsWhatIsGiven) {
  EXPECT_EQ(bars_of(Composition{}), 16);
  EXPECT_EQ(bars_of({.given = Continue{melody()}}), 10);
  EXPECT_EQ(bars_of({.given = Vary{melody()}}), 5);
  EXPECT_EQ(bars_of({.given = Vary{melody()}, .bars = 7}), 7);
  EXPECT_EQ(bars_of({.given = Continue{Score{{{Part::voice, 700 * 16, 1, 60}}}}}), 1024);
}

TEST(Compose, VariesFromTheLevelThatFreedomStandsFor) {
  const ModelInfo& info = triads().info();
  double last = 0;
  for (const double freedom : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const double level = level_of_freedom(freedom, info);
    EXPECT_GT(level, last);
    last = level;
    const Piece piece = compose(triads(), {.given = Vary{melody(), freedom}, .bars = 5});
    EXPECT_EQ(piece.report.levels.front(), level);
    // The recommended levels below it follow.
    EXPECT_EQ(piece.report.levels.size(), level > 0.5 ? 2u : 1u);
    EXPECT_EQ(piece.sample.shape[2], 80);
  }
  const ConsistencySampler mine{.levels = {.values = {3, 2, 1}}};
  EXPECT_EQ(compose(triads(), {.given = Vary{melody()}, .bars = 5, .sampler = mine}).report.levels.size(), 3u);
}

TEST(Compose, IsSavedAndReadAgain) {
  const std::string file = testing::TempDir() + "onestep-compose-test.mid";
  const Piece piece = compose(triads(), {.bars = 4, .seed = 1, .key = 7});
  save(file, triads().info(), {piece.sample});
  const MidiFile read = read_midi(file, triads().info());
  EXPECT_EQ(read.score.notes, notes_of(piece));
  EXPECT_NEAR(read.score.tempo, 90, 1e-4);
  EXPECT_EQ(read.remark, "");
  save(file, triads().info(), {piece.sample}, {.tempo = 144});
  EXPECT_NEAR(read_midi(file, triads().info()).score.tempo, 144, 1e-3);
  std::remove(file.c_str());
}

TEST(Compose, StopsBetweenCalls) {
  std::stop_source stop;
  const Piece piece = compose(
      triads(), {.bars = 64}, [&](const Progress&) { stop.request_stop(); }, stop.get_token());
  EXPECT_TRUE(piece.stopped);
  EXPECT_TRUE(piece.sample.values.empty());
}

TEST(Compose, RefusesByNameValueAndRule) {
  const auto refusal = [](const Generator& generator, const Composition& composition) -> std::string {
    try {
      compose(generator, composition);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(triads(), {.bars = 0}), "bars = 0 must lie in [1, 1024]");
  EXPECT_EQ(refusal(triads(), {.given = Continue{melody()}, .bars = 4}),
            "bars = 4 must be at least the 5 of what is given");
  EXPECT_EQ(refusal(triads(), {.given = Vary{}}), "the piece that is given has no notes");
  EXPECT_EQ(refusal(triads(), {.given = Vary{melody(), 1.5}}), "freedom = 1.5 must lie in [0, 1]");
  const Score low{{{Part::voice, 0, 4, 59}}}, early{{{Part::voice, -1, 4, 60}}},
      accompaniment{{{Part::piano, 0, 4, 60}}};
  EXPECT_EQ(refusal(triads(), {.given = Harmonise{low}}),
            "a note of pitch 59 at sixteenth 0, 4 long, must lie within pitches 60 to 83 and sixteenths 0 to 15");
  EXPECT_EQ(refusal(triads(), {.given = Harmonise{early}}), "start of a note = -1 must lie in [0, 16384]");
  EXPECT_EQ(refusal(triads(), {.given = Harmonise{accompaniment}}), "the melody has no notes of the voice");
  EXPECT_EQ(refusal(triads(), {.given = Fill{melody(), 3, 2}}), "last bar of the gap = 2 must lie in [3, 1024]");
  EXPECT_EQ(refusal(triads(), {.given = Fill{melody(), 0, 2}}), "first bar of the gap = 0 must lie in [1, 1024]");
  EXPECT_EQ(refusal(triads(), {.given = Fill{melody(), 1, 5}}),
            "all notes of the piece begin in its bars 1 to 5, which are to be filled; leave it some");
  EXPECT_EQ(refusal(triads(), {.given = Fill{melody(), 7, 9}, .bars = 8}),
            "bars = 8 must be at least the 9 of what is given");
  EXPECT_EQ(refusal(triads(), {.key = 24}), "label 24 must lie in [0, 23]");
  EXPECT_EQ(refusal(Generator::load(ONESTEP_TINY_MODELS "/hums.pt"), {}),
            "hums makes audio; compose takes a model of music");
}

}  // namespace
}  // namespace onestep
