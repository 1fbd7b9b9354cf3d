#include "synthesizer.hpp"

#include "midi.hpp"
#include "onestep/error.hpp"

#ifdef ONESTEP_FLUIDSYNTH

#include <fluidsynth.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>

#include "input_file.hpp"

namespace onestep {
namespace {

constexpr const char* installed_soundfont = "/usr/share/sounds/sf2/default-GM.sf2";

/// What FluidSynth would print: the library never does.
void keep_silent() {
  for (int level = FLUID_PANIC; level < LAST_LOG_LEVEL; ++level) fluid_set_log_function(level, nullptr, nullptr);
}

}  // namespace

bool has_synthesizer() { return std::ifstream(installed_soundfont).good(); }

std::vector<float> play(const Score& score, std::int64_t sixteenths, const std::string& soundfont) {
  require_tempo(score.tempo);
  const double a_sixteenth = 60 / score.tempo / 4 * synthesizer_rate;
  const auto frame_of = [&](std::int64_t sixteenth) -> std::int64_t {
    return std::llround(static_cast<double>(sixteenth) * a_sixteenth);
  };
  if (frame_of(sixteenths) > std::int64_t{3600} * synthesizer_rate) {
    throw Error(ErrorKind::usage,
                std::to_string(sixteenths / sixteenths_a_bar) +
                    " bars at this tempo last more than an hour; a .wav of music has at most one: write a .mid");
  }
  const std::string file = soundfont.empty() ? installed_soundfont : soundfont;
  std::string head(12, '\0');
  std::uint64_t bytes = 0, said = 8;
  try {
    InputFile input(file);
    input.stream.read(head.data(), static_cast<std::streamsize>(head.size()));
    bytes = input.size;
  } catch (const Error& error) {
    throw Error(ErrorKind::file, std::string(error.what()) +
                                     "; music is played with a soundfont (.sf2), such as that of Debian's package "
                                     "timgm6mb-soundfont, or one that is named");
  }

  const auto refuse = [&] {
    throw Error(ErrorKind::file, file + ": is no soundfont that FluidSynth reads; give an .sf2");
  };
  // What is none, or a part of one, it takes for sounds of another kind, and prints what a library of its own thinks of
  // them.
  for (int i = 0; i < 4; ++i) said += std::uint64_t{static_cast<unsigned char>(head[4 + i])} << (8 * i);
  if (!head.starts_with("RIFF") || !head.ends_with("sfbk") || said > bytes) refuse();
  keep_silent();
  const std::unique_ptr<fluid_settings_t, decltype(&delete_fluid_settings)> settings(new_fluid_settings(),
                                                                                     delete_fluid_settings);
  if (!settings) throw Error(ErrorKind::memory, "FluidSynth does not fit in memory");
  fluid_settings_setnum(settings.get(), "synth.sample-rate", synthesizer_rate);
  fluid_settings_setint(settings.get(), "synth.lock-memory", 0);
  const std::unique_ptr<fluid_synth_t, decltype(&delete_fluid_synth)> synth(new_fluid_synth(settings.get()),
                                                                            delete_fluid_synth);
  if (!synth) throw Error(ErrorKind::memory, "FluidSynth does not fit in memory");
  if (fluid_synth_sfload(synth.get(), file.c_str(), 1) == FLUID_FAILED) refuse();
  for (const Part part : {Part::voice, Part::piano})
    fluid_synth_program_change(synth.get(), instrument_of(part).channel, instrument_of(part).program);

  const std::int64_t length = frame_of(sixteenths) + 2 * synthesizer_rate;
  std::vector<float> values(static_cast<std::size_t>(2 * length));
  std::int64_t now = 0;
  const auto play_until = [&](std::int64_t frame) {
    // FluidSynth counts frames in an int.
    for (; now < frame; now += std::min<std::int64_t>(frame - now, 1 << 20)) {
      const auto count = static_cast<int>(std::min<std::int64_t>(frame - now, 1 << 20));
      fluid_synth_write_float(synth.get(), count, values.data(), static_cast<int>(now), 1, values.data() + length,
                              static_cast<int>(now), 1);
    }
  };
  for (const auto& [time, begins, part, pitch] : strokes_of(score)) {
    play_until(std::min(frame_of(time), length));
    const Instrument instrument = instrument_of(part);
    if (begins)
      fluid_synth_noteon(synth.get(), instrument.channel, pitch, instrument.velocity);
    else
      fluid_synth_noteoff(synth.get(), instrument.channel, pitch);
  }
  play_until(length);
  float peak = 0;
  for (const float value : values) peak = std::max(peak, std::abs(value));
  constexpr float inaudible = 1e-4F;  // what FluidSynth gives without notes, which are not to be made loud, is 1e-7
  if (peak > inaudible) {
    for (float& value : values) value *= 0.9f / peak;
  }
  return values;
}

}  // namespace onestep

#else

namespace onestep {

bool has_synthesizer() { return false; }

std::vector<float> play(const Score&, std::int64_t, const std::string&) {
  throw Error(
      ErrorKind::usage,
      "music becomes a .wav by FluidSynth, without which this onestep was built (ONESTEP_FLUIDSYNTH): write a .mid");
}

}  // namespace onestep

#endif
