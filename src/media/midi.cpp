#include "midi.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>

#include "input_file.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

constexpr std::uint64_t most_bytes = 16 << 20;
constexpr int most_tracks = 64;
constexpr int drums = 9;  // General MIDI: the tenth channel

/// The bytes of a chunk, of which no more are taken than there are.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name, const std::string& part)
      : bytes_(bytes), name_(name), part_(part) {}

  bool at_end() const { return bytes_.empty(); }

  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size())
      throw Error(ErrorKind::file, name_ + ": ends within " + part_ + "; copy or make it again");
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  std::uint32_t number(std::size_t count) {
    std::uint32_t value = 0;
    for (const std::byte b : take(count)) value = value << 8 | std::to_integer<std::uint32_t>(b);
    return value;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  std::uint8_t peek() const { return bytes_.empty() ? 0 : std::to_integer<std::uint8_t>(bytes_.front()); }
  /// Seven bits a byte, the last of which is below 128; four bytes at most.
  std::uint32_t variable() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const std::uint8_t b = byte();
      value = value << 7 | (b & 0x7fu);
      if (b < 0x80) return value;
    }
    throw Error(ErrorKind::file, name_ + ": a number in " + part_ + " has more than four bytes; make the file again");
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  std::string part_;
};

void require_size(std::uint64_t bytes, const std::string& name) {
  if (bytes > most_bytes)
    throw Error(ErrorKind::file, name + ": has " + std::to_string(bytes) + " bytes; a MIDI file has at most " +
                                     std::to_string(most_bytes));
}

struct TimeSignature {
  std::uint64_t tick;
  int beats, beat_type;
};

/// A note as the file has it.
struct RawNote {
  std::size_t track;
  int channel, pitch;
  std::uint64_t begin, end;  ///< Ticks.
};

/// All that is looked at in a file.
struct Events {
  std::uint32_t ticks_a_quarter = 0;
  std::vector<RawNote> notes;
  std::vector<TimeSignature> times;
  std::vector<std::string> track_names;
  std::map<std::uint64_t, std::uint32_t> tempos;  ///< Microseconds a quarter note, by tick.
};

void read_track(Reader reader, std::size_t track, Events& events, const std::string& name) {
  std::map<std::pair<int, int>, std::vector<std::size_t>> open;  // by channel and pitch, the notes that sound
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::file,
                name + ": " + what + " in track " + std::to_string(track + 1) + "; make the file again");
  };
  std::uint64_t tick = 0;
  std::uint8_t status = 0;
  events.track_names.emplace_back();
  while (!reader.at_end()) {
    tick += reader.variable();
    if (reader.peek() >= 0x80) status = reader.byte();
    if (status == 0xff) {  // about the file, rather than played
      const std::uint8_t kind = reader.byte();
      const auto data = reader.take(reader.variable());
      const auto value = [&](std::size_t i) { return std::to_integer<std::uint32_t>(data[i]); };
      if (kind == 0x2f) break;
      if (kind == 0x03 && events.track_names.back().empty()) {
        for (const std::byte b : data) events.track_names.back() += static_cast<char>(b);
      } else if (kind == 0x51 && data.size() == 3) {
        const std::uint32_t tempo = value(0) << 16 | value(1) << 8 | value(2);
        if (tempo > 0) events.tempos.emplace(tick, tempo);
      } else if (kind == 0x58 && data.size() >= 2) {
        if (value(0) == 0 || value(1) > 6)
          fail("no time signature is " + std::to_string(value(0)) + " beats of a note of 1/2^" +
               std::to_string(value(1)));
        events.times.push_back({tick, static_cast<int>(value(0)), 1 << value(1)});
      }
      status = 0;
    } else if (status == 0xf0 || status == 0xf7) {
      reader.take(reader.variable());
      status = 0;
    } else if (status < 0x80 || status > 0xef) {
      fail("there is no event of the number " + std::to_string(status));
    } else {
      const int kind = status >> 4, channel = status & 15;
      const std::uint8_t first = reader.byte(), second = kind == 0xc || kind == 0xd ? 0 : reader.byte();
      if (first > 127 || second > 127) fail("an event has a value above 127");
      if (kind != 8 && kind != 9) continue;
      auto& sounding = open[{channel, first}];
      if (kind == 9 && second > 0) {
        sounding.push_back(events.notes.size());
        events.notes.push_back({track, channel, first, tick, tick});
      } else if (!sounding.empty()) {
        events.notes[sounding.front()].end = tick;
        sounding.erase(sounding.begin());
      }
    }
  }
  // What was not ended ends with the track.
  for (const auto& [key, sounding] : open) {
    for (const std::size_t note : sounding) events.notes[note].end = tick;
  }
}

Events read_events(std::span<const std::byte> bytes, const std::string& name) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, name + ": " + what); };
  Reader file(bytes, name, "the heading of a part");
  constexpr std::uint32_t head = 0x4d546864, track = 0x4d54726b;  // MThd, MTrk
  if (bytes.size() < 4 || file.number(4) != head) fail("is no MIDI file: it does not begin with MThd");
  const std::uint32_t length = file.number(4);
  if (length < 6) fail("has a header of " + std::to_string(length) + " bytes, not 6; make it again");
  const std::uint32_t format = file.number(2), tracks = file.number(2), division = file.number(2);
  file.take(length - 6);
  if (format > 1) fail("is of format " + std::to_string(format) + "; save it as format 0 or 1");
  if (tracks > most_tracks) {
    fail("has " + std::to_string(tracks) + " tracks; at most " + std::to_string(most_tracks) +
         " are read: keep those of the melody and its accompaniment");
  }
  if (division >= 0x8000) fail("counts time in frames of film; save it with ticks a quarter note");
  if (division == 0) fail("has 0 ticks a quarter note; make it again");
  Events events;
  events.ticks_a_quarter = division;
  while (events.track_names.size() < tracks) {
    if (file.at_end()) {
      fail("has " + std::to_string(events.track_names.size()) + " of the " + std::to_string(tracks) +
           " tracks that it says it has; copy or make it again");
    }
    const std::uint32_t kind = file.number(4), size = file.number(4);
    const std::size_t number = events.track_names.size();
    const auto content = file.take(size);
    if (kind == track) read_track({content, name, "track " + std::to_string(number + 1)}, number, events, name);
  }
  return events;
}

void require_bars(const Events& events, const std::string& name) {
  for (const TimeSignature& time : events.times) {
    const std::string signature = std::to_string(time.beats) + "/" + std::to_string(time.beat_type);
    const std::string place = " at quarter note " + std::to_string(time.tick / events.ticks_a_quarter);
    const bool fits = signature == "4/4" || signature == "2/2" || signature == "2/4";
    if (!fits) {
      throw Error(ErrorKind::file,
                  name + ": is in " + signature + place +
                      "; the model knows bars of 4/4 alone, for which 2/2 and 2/4 are taken, too: set it "
                      "in one of these");
    }
    if (time.tick % (4 * std::uint64_t{events.ticks_a_quarter}) != 0) {
      throw Error(ErrorKind::file,
                  name + ": changes to " + signature + place + ", within a bar of 4/4; begin it with a whole bar");
    }
  }
}

bool names_the_voice(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::array words{"voice", "vocal",  "melody", "melodi", "lead", "sing",
                             "solo",  "sopran", "gesang", "chant",  "canto"};
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return name.find(word) != std::string::npos; });
}

/// "3 drum notes".
std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

/// Notes of the highest part: those above which nothing sounds as they begin.
void find_highest(std::vector<Note>& notes) {
  std::vector<std::size_t> order(notes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return notes[a].start < notes[b].start; });
  std::vector<std::size_t> active;
  for (std::size_t first = 0; first < order.size();) {
    const std::int64_t now = notes[order[first]].start;
    std::erase_if(active, [&](std::size_t i) { return notes[i].start + notes[i].length <= now; });
    std::size_t last = first;
    while (last < order.size() && notes[order[last]].start == now) active.push_back(order[last++]);
    const std::size_t top = *std::max_element(
        active.begin(), active.end(), [&](std::size_t a, std::size_t b) { return notes[a].pitch < notes[b].pitch; });
    for (std::size_t i = first; i < last; ++i) notes[order[i]].part = order[i] == top ? Part::voice : Part::piano;
    first = last;
  }
}

auto place_of(const Note& note) { return std::tuple(note.part, note.pitch, note.start); }

void put_in_order(std::vector<Note>& notes) {
  std::sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) {
    return std::tuple(a.part, a.start, a.pitch) < std::tuple(b.part, b.start, b.pitch);
  });
}

}  // namespace

std::size_t settle(std::vector<Note>& notes) {
  const std::size_t before = notes.size();
  std::sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) {
    return place_of(a) != place_of(b) ? place_of(a) < place_of(b) : a.length > b.length;
  });
  const auto same = [](const Note& a, const Note& b) { return place_of(a) == place_of(b); };
  notes.erase(std::unique(notes.begin(), notes.end(), same), notes.end());
  for (std::size_t i = 0; i + 1 < notes.size(); ++i) {
    if (notes[i].part == notes[i + 1].part && notes[i].pitch == notes[i + 1].pitch)
      notes[i].length = std::min(notes[i].length, notes[i + 1].start - notes[i].start);
  }
  put_in_order(notes);
  return before - notes.size();
}

MidiFile parse_midi(std::span<const std::byte> bytes, const std::string& name, const PitchRange& pitches) {
  require_size(bytes.size(), name);
  const Events events = read_events(bytes, name);
  require_bars(events, name);
  std::optional<std::size_t> voice_track;
  for (std::size_t i = 0; i < events.track_names.size() && !voice_track; ++i) {
    const bool has_notes = std::any_of(events.notes.begin(), events.notes.end(),
                                       [&](const RawNote& n) { return n.track == i && n.channel != drums; });
    if (has_notes && names_the_voice(events.track_names[i])) voice_track = i;
  }
  std::size_t drum_notes = 0, beyond = 0, moved = 0;
  MidiFile read;
  for (const RawNote& raw : events.notes) {
    if (raw.channel == drums) {
      ++drum_notes;
      continue;
    }
    if (raw.pitch < pitches.lowest || raw.pitch >= pitches.lowest + pitches.count) {
      ++beyond;
      continue;
    }
    const auto sixteenths = [&](std::uint64_t tick) {
      return 4 * static_cast<double>(tick) / static_cast<double>(events.ticks_a_quarter);
    };
    const double begin = sixteenths(raw.begin), end = sixteenths(raw.end);
    const double bars = std::max(begin + 1, end) / sixteenths_a_bar;
    if (bars > most_bars) {
      throw Error(ErrorKind::file, name + ": is " + std::to_string(static_cast<std::int64_t>(std::ceil(bars))) +
                                       " bars long; at most " + std::to_string(most_bars) + " are read: cut it");
    }
    const std::int64_t start = std::llround(begin);
    moved += std::abs(begin - static_cast<double>(start)) > 0.1;
    read.score.notes.push_back({voice_track == raw.track ? Part::voice : Part::piano, start,
                                std::max<std::int64_t>(std::llround(end) - start, 1), raw.pitch});
  }
  if (read.score.notes.empty()) {
    throw Error(ErrorKind::file, name + ": has no notes" +
                                     (drum_notes + beyond > 0 ? " but " + counted(drum_notes, "drum note") + " and " +
                                                                    counted(beyond, "note") + " beyond pitches " +
                                                                    std::to_string(pitches.lowest) + " to " +
                                                                    std::to_string(pitches.lowest + pitches.count - 1)
                                                              : "") +
                                     "; give a file with a melody");
  }
  const std::size_t doubled = settle(read.score.notes);
  if (!voice_track) find_highest(read.score.notes);
  put_in_order(read.score.notes);
  if (!events.tempos.empty())
    read.score.tempo = std::clamp(6e7 / events.tempos.begin()->second, slowest_tempo, fastest_tempo);
  std::vector<std::string> remarks;
  if (drum_notes > 0) remarks.push_back(counted(drum_notes, "drum note") + " left out");
  if (beyond > 0) {
    remarks.push_back(counted(beyond, "note") + " beyond pitches " + std::to_string(pitches.lowest) + " to " +
                      std::to_string(pitches.lowest + pitches.count - 1) + " left out");
  }
  if (doubled > 0) remarks.push_back(counted(doubled, "note") + " at the place of another left out");
  if (moved > 0) remarks.push_back(counted(moved, "note") + " moved to the nearest sixteenth");
  if (events.tempos.size() > 1) remarks.push_back(counted(events.tempos.size() - 1, "change") + " of tempo left out");
  for (const std::string& remark : remarks) read.remark += (read.remark.empty() ? name + ": " : ", ") + remark;
  return read;
}

MidiFile read_midi(const std::string& file, const ModelInfo& info) {
  if (info.data.modality != Modality::music)
    throw Error(ErrorKind::usage, info.name + " makes " + name_of(info.data.modality) + ", and takes no MIDI file");
  InputFile input(file);
  require_size(input.size, file);
  std::vector<std::byte> bytes(input.size);
  if (!input.stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw Error(ErrorKind::file, file + ": can't be read to its end; copy it again");
  return parse_midi(bytes, file, {info.data.roll.lowest_pitch, info.data.shape.at(1)});
}

void require_tempo(double tempo) {
  if (!(tempo >= slowest_tempo && tempo <= fastest_tempo))
    throw Error(ErrorKind::usage, "tempo = " + std::to_string(tempo) + " must lie in [10, 400] quarter notes a minute");
}

namespace {

using Bytes = std::vector<std::uint8_t>;

void put(Bytes& bytes, std::uint32_t value, int count) {
  for (int i = count - 1; i >= 0; --i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_variable(Bytes& bytes, std::uint32_t value) {
  for (int shift = 21; shift > 0; shift -= 7) {
    if (value >> shift) bytes.push_back(static_cast<std::uint8_t>(0x80 | (value >> shift & 0x7f)));
  }
  bytes.push_back(value & 0x7f);
}

void put_text(Bytes& bytes, const std::string& text) {
  bytes.insert(bytes.end(), {0, 0xff, 0x03, static_cast<std::uint8_t>(text.size())});
  bytes.insert(bytes.end(), text.begin(), text.end());
}

void put_track(Bytes& file, Bytes track) {
  track.insert(track.end(), {0, 0xff, 0x2f, 0});
  for (const char c : {'M', 'T', 'r', 'k'}) file.push_back(static_cast<std::uint8_t>(c));
  put(file, static_cast<std::uint32_t>(track.size()), 4);
  file.insert(file.end(), track.begin(), track.end());
}

Bytes track_of(const Score& score, Part part) {
  const Instrument instrument = instrument_of(part);
  const auto byte = [](int value) { return static_cast<std::uint8_t>(value); };
  Bytes track;
  put_text(track, part == Part::voice ? "Voice" : "Piano");
  track.insert(track.end(), {0, byte(0xc0 | instrument.channel), byte(instrument.program)});
  std::int64_t now = 0;
  for (const auto& [time, begins, whose, pitch] : strokes_of(score)) {
    if (whose != part) continue;
    put_variable(track, static_cast<std::uint32_t>((time - now) * 120));
    track.insert(track.end(), {byte((begins ? 0x90 : 0x80) | instrument.channel), byte(pitch),
                               byte(begins ? instrument.velocity : 0)});
    now = time;
  }
  return track;
}

}  // namespace

std::vector<KeyStroke> strokes_of(const Score& score) {
  std::vector<KeyStroke> strokes;
  for (const Note& note : score.notes) {
    strokes.push_back({note.start, true, note.part, note.pitch});
    strokes.push_back({note.start + note.length, false, note.part, note.pitch});
  }
  std::sort(strokes.begin(), strokes.end());
  return strokes;
}

std::vector<std::byte> encode_midi(const Score& score) {
  require_tempo(score.tempo);
  Bytes file;
  for (const char c : {'M', 'T', 'h', 'd'}) file.push_back(static_cast<std::uint8_t>(c));
  put(file, 6, 4);
  for (const std::uint32_t value : {1u, 3u, 480u}) put(file, value, 2);
  Bytes conductor{0, 0xff, 0x58, 4, 4, 2, 24, 8, 0, 0xff, 0x51, 3};
  put(conductor, static_cast<std::uint32_t>(std::lround(6e7 / score.tempo)), 3);
  put_track(file, std::move(conductor));
  put_track(file, track_of(score, Part::voice));
  put_track(file, track_of(score, Part::piano));
  const auto bytes = std::as_bytes(std::span(file));
  return {bytes.begin(), bytes.end()};
}

}  // namespace onestep
