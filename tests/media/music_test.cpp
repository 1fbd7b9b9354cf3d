// Notes, rolls, MIDI files, and what music looks and sounds like.
#include <gtest/gtest.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <random>
#include <sstream>
#include <tuple>

#include "../shown_notes.hpp"
#include "midi.hpp"
#include "output_file.hpp"
#include "roll.hpp"
#include "sample_file.hpp"
#include "synthesizer.hpp"
#include "temporary_folder.hpp"

namespace onestep {

namespace {

constexpr PitchRange all_pitches{};
const RollInfo from_c{.lowest_pitch = 48, .onset_threshold = 0.5, .held_threshold = 0.25};

std::vector<Note> sorted(std::vector<Note> notes) {
  std::sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) {
    return std::tuple(a.part, a.start, a.pitch) < std::tuple(b.part, b.start, b.pitch);
  });
  return notes;
}

/// Notes that a roll can hold: one at a place, which ends where the next of its pitch begins.
std::vector<Note> random_notes(std::mt19937& random, int count, int lowest, int pitches, std::int64_t sixteenths) {
  std::map<std::tuple<Part, int, std::int64_t>, std::int64_t> ends;
  const auto up_to = [&](std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(0, most)(random); };
  for (int i = 0; i < count; ++i) {
    const Part part = up_to(1) == 0 ? Part::voice : Part::piano;
    const int pitch = lowest + static_cast<int>(up_to(pitches - 1));
    const std::int64_t start = up_to(sixteenths - 1);
    ends[{part, pitch, start}] = start + 1 + up_to(sixteenths - start - 1);
  }
  std::vector<Note> notes;
  for (auto place = ends.begin(); place != ends.end(); ++place) {
    const auto [part, pitch, start] = place->first;
    std::int64_t end = place->second;
    const auto next = std::next(place);
    if (next != ends.end() && std::get<0>(next->first) == part && std::get<1>(next->first) == pitch)
      end = std::min(end, std::get<2>(next->first));
    notes.push_back({part, start, end - start, pitch});
  }
  return sorted(notes);
}

TEST(Roll, MadeIntoNotesAndBackIsTheSame) {
  std::mt19937 random(1);
  const std::vector<std::int64_t> shape{4, 30, 80};
  for (const int count : {0, 1, 20, 500}) {
    const std::vector<Note> notes = random_notes(random, count, 48, 30, 80);
    const std::vector<float> roll = roll_of_notes(notes, shape, -1, 1, from_c);
    EXPECT_EQ(notes_of_roll(roll, shape, -1, 1, from_c), notes);
    EXPECT_EQ(roll_of_notes(notes_of_roll(roll, shape, -1, 1, from_c), shape, -1, 1, from_c), roll);
  }
}

TEST(Roll, IsReadByItsThresholds) {
  // One pitch, four sixteenths: a note of the voice begins at 0 and is held for three; the piano's is held alone.
  const std::vector<std::int64_t> shape{4, 1, 4};
  std::vector<float> roll{0.6F, 0.5F, 0.2F, 0, 0, 0.3F, 0.9F, 0.25F, 0.5F, 0, 0.1F, 0, 1, 1, 1, 1};
  EXPECT_EQ(notes_of_roll(roll, shape, 0, 1, from_c), (std::vector<Note>{{Part::voice, 0, 3, 48}}));
  roll[2] = 2;  // begins anew, however long the first was held
  EXPECT_EQ(notes_of_roll(roll, shape, 0, 1, from_c),
            (std::vector<Note>{{Part::voice, 0, 2, 48}, {Part::voice, 2, 1, 48}}));
  roll[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error_of([&] { notes_of_roll(roll, shape, 0, 1, from_c); }).substr(0, 10), "numerical:");
  EXPECT_EQ(error_of([&] {
              notes_of_roll(roll, std::vector<std::int64_t>{4, 4}, 0, 1, from_c);
            }),
            "usage: shape = [4, 4] must be [4, pitches, sixteenths]");
  const std::vector<Note> low{{Part::piano, 0, 1, 47}}, late{{Part::piano, 3, 2, 48}};
  EXPECT_EQ(error_of([&] { roll_of_notes(low, shape, 0, 1, from_c); }),
            "usage: a note of pitch 47 at sixteenth 0, 1 long, must lie within pitches 48 to 48 and sixteenths 0 to 3");
  EXPECT_EQ(error_of([&] { roll_of_notes(late, shape, 0, 1, from_c); }).substr(0, 6), "usage:");
}

TEST(Roll, LooksLikeItsNotes) {
  // A row of eight bars, and half a bar below it.
  const std::vector<Note> notes{{Part::voice, 127, 2, 49}, {Part::piano, 4, 3, 48}};
  const Picture picture = picture_of_notes(notes, 2, 136, 48);
  ASSERT_EQ(picture.channels, 3);
  EXPECT_EQ(picture.width, 8 * 16 * 6 + 1);
  EXPECT_EQ(picture.height, 2 * 12 + 12);
  const auto colour = [&](int x, int y) {
    const std::uint8_t* p = &picture.pixels[static_cast<std::size_t>((y * picture.width + x) * 3)];
    return std::array{p[0], p[1], p[2]};
  };
  const auto is_red = [&](int x, int y) { return colour(x, y)[0] > colour(x, y)[2] + 50; };
  const auto is_blue = [&](int x, int y) { return colour(x, y)[2] > colour(x, y)[0] + 50; };
  EXPECT_TRUE(is_red(127 * 6 + 3, 3));  // C sharp above, at the end of the first row
  EXPECT_TRUE(is_red(3, 24 + 3));       // and at the beginning of the second
  EXPECT_FALSE(is_red(6 + 3, 24 + 3));
  for (const int x : {4 * 6 + 3, 5 * 6, 6 * 6 + 5}) EXPECT_TRUE(is_blue(x, 9)) << x;
  for (const int x : {3 * 6 + 3, 7 * 6 + 3}) EXPECT_FALSE(is_blue(x, 9)) << x;
  EXPECT_EQ(colour(8 * 6 + 2, 9), (std::array<std::uint8_t, 3>{255, 255, 255}));
}

TEST(Score, KnowsItsKey) {
  constexpr int major[] = {0, 2, 4, 5, 7, 9, 11, 0, 4, 7}, minor[] = {0, 2, 3, 5, 7, 8, 11, 0, 3, 7};
  for (int tonic = 0; tonic < 12; ++tonic) {
    Score in_major, in_minor;
    for (const int step : major) in_major.notes.push_back({Part::piano, 0, 2, 50 + tonic + step});
    for (const int step : minor) in_minor.notes.push_back({Part::piano, 0, 2, 50 + tonic + step});
    EXPECT_EQ(key_of(in_major), (50 + tonic) % 12);
    EXPECT_EQ(key_of(in_minor), 12 + (50 + tonic) % 12);
  }
  EXPECT_EQ(key_of({}), std::nullopt);
  EXPECT_EQ(bars_of({}), 0);
  EXPECT_EQ(bars_of({{{Part::voice, 30, 2, 60}}}), 2);
  EXPECT_EQ(bars_of({{{Part::voice, 30, 3, 60}}}), 3);
}

TEST(Midi, WrittenAndReadIsTheSame) {
  std::mt19937 random(2);
  for (const int count : {1, 30, 400}) {
    const Score score{random_notes(random, count, 0, 128, 700), 97};
    const MidiFile back = parse_midi(encode_midi(score), "a.mid", all_pitches);
    EXPECT_EQ(sorted(back.score.notes), score.notes);
    // A tempo is kept as whole microseconds a quarter note.
    EXPECT_NEAR(back.score.tempo, 97, 1e-4);
    EXPECT_EQ(back.remark, "");
  }
}

TEST(Midi, ReadsTheSameByAnotherProgram) {
  const TemporaryFolder folder;
  const Score score{{{Part::voice, 0, 2, 62}, {Part::voice, 2, 1, 62}, {Part::piano, 40, 16, 50}}, 120};
  write_file(folder / "a.mid", encode_midi(score));
  const std::unique_ptr<FILE, decltype(&pclose)> program(popen(("midicsv " + (folder / "a.mid")).c_str(), "r"), pclose);
  std::string csv;
  for (int c; (c = fgetc(program.get())) != EOF;) csv += static_cast<char>(c);
  EXPECT_EQ(csv,
            "0, 0, Header, 1, 3, 480\n"
            "1, 0, Start_track\n"
            "1, 0, Time_signature, 4, 2, 24, 8\n"
            "1, 0, Tempo, 500000\n"
            "1, 0, End_track\n"
            "2, 0, Start_track\n"
            "2, 0, Title_t, \"Voice\"\n"
            "2, 0, Program_c, 0, 73\n"
            "2, 0, Note_on_c, 0, 62, 88\n"
            "2, 240, Note_off_c, 0, 62, 0\n"
            "2, 240, Note_on_c, 0, 62, 88\n"
            "2, 360, Note_off_c, 0, 62, 0\n"
            "2, 360, End_track\n"
            "3, 0, Start_track\n"
            "3, 0, Title_t, \"Piano\"\n"
            "3, 0, Program_c, 1, 0\n"
            "3, 4800, Note_on_c, 1, 50, 68\n"
            "3, 6720, Note_off_c, 1, 50, 0\n"
            "3, 6720, End_track\n"
            "0, 0, End_of_file\n");
}

std::vector<std::byte> to_bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// A MIDI file as another program makes it of its text form.
std::vector<std::byte> midi_of(const std::string& csv) {
  const TemporaryFolder folder;
  put_bytes(folder / "a.csv", csv);
  EXPECT_EQ(std::system(("csvmidi " + (folder / "a.csv") + " " + (folder / "a.mid")).c_str()), 0);
  return to_bytes(bytes_of(folder / "a.mid"));
}

std::string note(int track, int channel, int pitch, int begin, int end) {
  const std::string head = std::to_string(track) + ", ";
  const std::string tail = ", " + std::to_string(channel) + ", " + std::to_string(pitch) + ", ";
  return head + std::to_string(begin) + ", Note_on_c" + tail + "70\n" + head + std::to_string(end) + ", Note_off_c" +
         tail + "0\n";
}

/// Of events, a line each, in any order.
std::string track(int number, const std::string& events) {
  std::multimap<int, std::string> lines;  // by time
  std::istringstream all(events);
  for (std::string line; std::getline(all, line);) lines.emplace(std::stoi(line.substr(line.find(',') + 1)), line);
  const std::string head = std::to_string(number) + ", ";
  std::string csv = head + "0, Start_track\n";
  for (const auto& [time, line] : lines) csv += line + "\n";
  return csv + head + std::to_string(lines.empty() ? 0 : lines.rbegin()->first) + ", End_track\n";
}

std::string csv_file(const std::vector<std::string>& tracks, int division = 96) {
  std::string csv = "0, 0, Header, 1, " + std::to_string(tracks.size()) + ", " + std::to_string(division) + "\n";
  for (std::size_t i = 0; i < tracks.size(); ++i) csv += track(static_cast<int>(i + 1), tracks[i]);
  return csv + "0, 0, End_of_file\n";
}

TEST(Midi, TakesTheTrackThatSaysSoForTheVoice) {
  const MidiFile named = parse_midi(midi_of(csv_file({"1, 0, Title_t, \"Strings\"\n" + note(1, 0, 80, 0, 96),
                                                      "2, 0, Title_t, \"Lead Vocal\"\n" + note(2, 1, 50, 0, 48)})),
                                    "a.mid", all_pitches);
  EXPECT_EQ(named.score.notes, (std::vector<Note>{{Part::voice, 0, 2, 50}, {Part::piano, 0, 4, 80}}));
}

TEST(Midi, TakesTheHighestForTheVoiceWhereNoneSaysSo) {
  // A chord, a note below one that still sounds, a note alone.
  const std::string notes =
      note(1, 0, 60, 0, 96) + note(1, 0, 64, 0, 192) + note(1, 0, 55, 96, 192) + note(1, 0, 50, 192, 288);
  const MidiFile read = parse_midi(midi_of(csv_file({notes})), "a.mid", all_pitches);
  EXPECT_EQ(read.score.notes,
            (std::vector<Note>{
                {Part::voice, 0, 8, 64}, {Part::voice, 8, 4, 50}, {Part::piano, 0, 4, 60}, {Part::piano, 4, 4, 55}}));
}

TEST(Midi, SaysWhatItLeftOutAndMoved) {
  const std::string notes = "1, 0, Tempo, 600000\n" + note(1, 0, 60, 10, 96) + note(1, 0, 60, 9, 24) +
                            note(1, 9, 38, 0, 24) + note(1, 0, 20, 96, 192) +
                            "1, 200, Tempo, 500000\n1, 300, Tempo, 400000\n";
  const MidiFile read = parse_midi(midi_of(csv_file({notes})), "b.mid", {31, 64});
  EXPECT_EQ(read.score.notes, (std::vector<Note>{{Part::voice, 0, 4, 60}}));
  EXPECT_NEAR(read.score.tempo, 100, 1e-9);
  EXPECT_EQ(read.remark,
            "b.mid: 1 drum note left out, 1 note beyond pitches 31 to 94 left out, 1 note at the place of another left "
            "out, 2 notes moved to the nearest sixteenth, 2 changes of tempo left out");
}

std::string refusal(const std::vector<std::byte>& bytes) {
  return error_of([&] { parse_midi(bytes, "a.mid", all_pitches); });
}

TEST(Midi, TakesBarsOfTwoAndNoOthers) {
  const auto in = [](const std::string& time) {
    return midi_of(csv_file({"1, 0, Time_signature, " + time + ", 24, 8\n" + note(1, 0, 60, 0, 96)}));
  };
  for (const std::string time : {"4, 2", "2, 1", "2, 2"}) EXPECT_EQ(refusal(in(time)), "nothing thrown") << time;
  EXPECT_EQ(refusal(in("3, 2")),
            "file: a.mid: is in 3/4 at quarter note 0; the model knows bars of 4/4 alone, for which 2/2 and 2/4 are "
            "taken, too: set it in one of these");
  EXPECT_NE(refusal(in("6, 3")).find("is in 6/8"), std::string::npos);
  EXPECT_EQ(refusal(midi_of(csv_file(
                {"1, 0, Time_signature, 2, 2, 24, 8\n1, 192, Time_signature, 4, 2, 24, 8\n" + note(1, 0, 60, 0, 96)}))),
            "file: a.mid: changes to 4/4 at quarter note 2, within a bar of 4/4; begin it with a whole bar");
}

TEST(Midi, RefusesWhatIsNone) {
  EXPECT_EQ(refusal(to_bytes("RIFF....WAVE")), "file: a.mid: is no MIDI file: it does not begin with MThd");
  EXPECT_EQ(refusal(to_bytes("M")), "file: a.mid: is no MIDI file: it does not begin with MThd");
  EXPECT_EQ(refusal(midi_of(csv_file({""}))), "file: a.mid: has no notes; give a file with a melody");
  EXPECT_EQ(refusal(midi_of(csv_file({note(1, 9, 38, 0, 24)}))),
            "file: a.mid: has no notes but 1 drum note and 0 notes beyond pitches 0 to 127; give a file with a melody");
  std::vector<std::string> many(100, "");
  EXPECT_EQ(refusal(midi_of(csv_file(many))),
            "file: a.mid: has 100 tracks; at most 64 are read: keep those of the melody and its accompaniment");
  // Ten hours of 4/4 at 120 quarter notes a minute.
  EXPECT_EQ(refusal(midi_of(csv_file({note(1, 0, 60, 72'000 * 96 - 96, 72'000 * 96)}))),
            "file: a.mid: is 18000 bars long; at most 1024 are read: cut it");
  std::vector<std::byte> whole = encode_midi({{{Part::voice, 0, 4, 60}}, 100});
  EXPECT_EQ(refusal(whole), "nothing thrown");
  for (std::size_t size = 4; size < whole.size(); ++size)
    EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), "nothing thrown") << size;
  whole[9] = std::byte{2};
  EXPECT_EQ(refusal(whole), "file: a.mid: is of format 2; save it as format 0 or 1");
  whole[9] = std::byte{1};
  whole[12] = std::byte{0xe7};
  EXPECT_EQ(refusal(whole), "file: a.mid: counts time in frames of film; save it with ticks a quarter note");
  whole[12] = whole[13] = std::byte{0};
  EXPECT_EQ(refusal(whole), "file: a.mid: has 0 ticks a quarter note; make it again");
  EXPECT_EQ(error_of([] {
              encode_midi({{}, 9});
            }),
            "usage: tempo = 9.000000 must lie in [10, 400] quarter notes a minute");
}

TEST(Midi, UnderstandsWhatManyFilesAreMadeOf) {
  // One track of format 0 by hand: running status, a note that a note-on of velocity 0 ends, one that nothing ends, a
  // controller, a system message, a chunk that nobody knows.
  const std::string events{
      "\x00\xb0\x07\x64\x00\xf0\x02\x01\xf7\x00\x90\x3c\x40\x60\x3c\x00\x00\x40\x40\x60\xff\x2f\x00", 23};
  std::string file("MThd\0\0\0\6\0\0\0\1\0\x60XYZW\0\0\0\2ab", 24);
  file += std::string("MTrk\0\0\0", 7) + static_cast<char>(events.size()) + events;
  const MidiFile read = parse_midi(to_bytes(file), "a.mid", all_pitches);
  EXPECT_EQ(read.score.notes, (std::vector<Note>{{Part::voice, 0, 4, 60}, {Part::voice, 4, 4, 64}}));
}

const SampleFormat music{
    .modality = Modality::music, .shape = {4, 2, 16}, .low = 0, .high = 1, .rate = 120, .roll = {.lowest_pitch = 68}};

TEST(EncodeSamples, KeepsMusicAsNotes) {
  const std::vector<Note> notes{{Part::voice, 4, 8, 69}};
  const std::vector<float> roll = roll_of_notes(notes, music.shape, 0, 1, music.roll);
  const std::vector<std::uint64_t> seeds{3, 4};
  const SampleSet one{{roll}, std::span(seeds).first(1), {}}, two{{roll, roll}, seeds, {}};
  const MidiFile read = parse_midi(encode_samples(FileKind::midi, music, one), "a.mid", all_pitches);
  EXPECT_EQ(read.score.notes, notes);
  EXPECT_EQ(read.score.tempo, 120);
  const PictureValues picture = decode_picture(encode_samples(FileKind::png, music, one), "a.png");
  EXPECT_EQ(picture.width, 16 * 6 + 1);
  EXPECT_EQ(decode_picture(encode_samples(FileKind::png, music, two), "a.png").width, 2 * (16 * 6 + 1) + 3 * 2);
  EXPECT_EQ(file_kind("a.MIDI", music, 1), FileKind::midi);
  EXPECT_EQ(
      error_of([&] { file_kind("a.mid", music, 2); }),
      "usage: a.mid: .mid holds one sample of modality music, not 2; give a file a sample, such as {seed:06d}.mid, "
      "or .npy or .npz");
  EXPECT_TRUE(can_hold(FileKind::wav, music, 1));
  EXPECT_FALSE(can_hold(FileKind::wav, music, 2));
  EXPECT_FALSE(can_hold(FileKind::midi, {Modality::image, {1, 2, 2}}, 1));
}

#ifdef ONESTEP_FLUIDSYNTH
/// Half a step of 16 bits.
constexpr float silence = 0.5F / 32767;

/// The amplitude of a frequency in a stretch of a sound.
double amplitude(const std::vector<float>& sound, std::size_t from, std::size_t count, double frequency) {
  double real = 0, imaginary = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double angle = 2 * std::numbers::pi * frequency * static_cast<double>(i) / synthesizer_rate;
    real += sound[from + i] * std::cos(angle);
    imaginary += sound[from + i] * std::sin(angle);
  }
  return std::hypot(real, imaginary) / static_cast<double>(count);
}

TEST(Play, SoundsAsLongAndAsHighAsWritten) {
  // Half a second of silence, then a second of A.
  const std::vector<float> sound = play({{{Part::voice, 4, 8, 69}}, 120}, 16, "");
  const std::size_t frames = sound.size() / 2, second = synthesizer_rate;
  EXPECT_EQ(frames, 4 * second);  // one bar, two seconds more
  EXPECT_LT(*std::max_element(sound.begin(), sound.begin() + second / 2 - 100), silence);
  float peak = 0;
  for (const float value : sound) peak = std::max(peak, std::abs(value));
  EXPECT_NEAR(peak, 0.9, 1e-6);  // of float32
  const std::size_t from = second * 3 / 4, count = second / 2;
  const double a = amplitude(sound, from, count, 440);
  for (const double other : {415.3, 466.2, 220.0}) EXPECT_GT(a, 10 * amplitude(sound, from, count, other)) << other;
  // Nothing sounds on at the end but what is left of the room: 40 dB less.
  EXPECT_LT(amplitude(sound, frames - second / 4, second / 4, 440), a / 100);
}

TEST(Play, OfNoNotesIsSilence) {
  for (const float value : play({{}, 400}, 16, "")) ASSERT_LT(std::abs(value), silence);
}

TEST(Play, SaysWhatIsAmiss) {
  EXPECT_EQ(
      error_of([] {
        play({{}, 100}, 16, "/no/such.sf2");
      }),
      "file: /no/such.sf2: no such file; music is played with a soundfont (.sf2), such as that of Debian's package "
      "timgm6mb-soundfont, or one that is named");
  const TemporaryFolder folder;
  // No soundfont at all, and the first kilobyte of one.
  for (const std::string& damaged :
       {std::string("RIFF"), bytes_of("/usr/share/sounds/sf2/default-GM.sf2").substr(0, 1024)}) {
    put_bytes(folder / "a.sf2", damaged);
    EXPECT_EQ(error_of([&] {
                play({{}, 100}, 16, folder / "a.sf2");
              }),
              "file: " + (folder / "a.sf2") + ": is no soundfont that FluidSynth reads; give an .sf2");
  }
  EXPECT_EQ(error_of([] {
              play({{}, 10}, 1024 * 16, "");
            }),
            "usage: 1024 bars at this tempo last more than an hour; a .wav of music has at most one: write a .mid");
}
#else
TEST(Play, SaysThatItIsNotBuiltIn) {
  EXPECT_EQ(
      error_of([] {
        play({{}, 100}, 16, "");
      }),
      "usage: music becomes a .wav by FluidSynth, without which this onestep was built (ONESTEP_FLUIDSYNTH): write "
      "a .mid");
}
#endif

}  // namespace
}  // namespace onestep
