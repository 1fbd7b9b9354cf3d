#include <gtest/gtest.h>
#include <sndfile.h>

#include <cmath>
#include <numbers>

#include "sound_file.hpp"
#include "sound_picture.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

std::vector<float> tone(double frequency, int rate, std::int64_t length, double loudness = 0.5) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < length; ++i) {
    values.push_back(
        static_cast<float>(loudness * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(i) / rate)));
  }
  return values;
}

std::vector<std::byte> as_bytes(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// As libsndfile writes it: moment after moment.
std::string file_of(const std::vector<float>& moments, int channels, int rate, int format) {
  const TemporaryFolder folder;
  SF_INFO info{};
  info.channels = channels;
  info.samplerate = rate;
  info.format = format;
  SNDFILE* file = sf_open((folder / "a").c_str(), SFM_WRITE, &info);
  sf_write_float(file, moments.data(), static_cast<sf_count_t>(moments.size()));
  sf_close(file);
  return bytes_of(folder / "a");
}

std::string refusal(const std::string& content) {
  const std::string error = error_of([&] { decode_sound(as_bytes(content), "a"); });
  return error.starts_with("file: a: ") ? error.substr(9) : error;
}

TEST(DecodeSound, ReadsEveryKindOfWavAndFlac) {
  const std::vector<float> moments{0.5F, -0.25F, -1, 0.125F, 0, 0.75F};
  for (const int kind :
       {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_WAV | SF_FORMAT_PCM_24,
        SF_FORMAT_WAV | SF_FORMAT_PCM_32, SF_FORMAT_WAV | SF_FORMAT_FLOAT, SF_FORMAT_WAVEX | SF_FORMAT_DOUBLE,
        SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_24}) {
    const SoundValues sound = decode_sound(as_bytes(file_of(moments, 2, 44'100, kind)), "a");
    EXPECT_EQ(sound.channels, 2);
    EXPECT_EQ(sound.rate, 44'100);
    ASSERT_EQ(sound.length(), 3);
    const std::vector<float> wanted{0.5F, -1, 0, -0.25F, 0.125F, 0.75F};
    // Multiples of 1/8 are exact in all of them; libsndfile writes 0.75 times 2^n - 1, and 8 bits are the fewest.
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(sound.values[i], wanted[i], 1.0 / 127) << kind;
  }
}

TEST(DecodeSound, ReadsWhatOnestepWrites) {
  const std::vector<float> values{-1, 0, 1, 0.3F};
  const SoundValues sound = decode_sound(encode_wav(values, std::vector<std::int64_t>{1, 4}, -1, 1, 22'050), "a");
  // 16 bits: half a step of rounding, and 32767 stands for 1 where 32768 is read as 1.
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(sound.values[i], values[i], 1.5 / 32768);
}

TEST(DecodeSound, RefusesWhatIsNoSoundOrIsDamaged) {
  const std::vector<float> moments = tone(440, 8000, 5000);
  const std::string wav = file_of(moments, 1, 8000, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
  const std::string flac = file_of(moments, 1, 8000, SF_FORMAT_FLAC | SF_FORMAT_PCM_16);
  EXPECT_EQ(refusal("MThd or any text"), "is no WAV or FLAC sound; convert it");
  EXPECT_EQ(refusal(""), "is no WAV or FLAC sound; convert it");
  EXPECT_EQ(refusal(wav.substr(0, 4000)), "is cut short; copy or make it again");
  EXPECT_EQ(refusal(wav.substr(0, 12)), "is cut short; copy or make it again");
  for (const std::size_t size : {flac.size() / 2, flac.size() - 100, std::size_t{60}}) {
    const std::string said = refusal(flac.substr(0, size));
    EXPECT_TRUE(said.starts_with("is cut short") || said.starts_with("is damaged (")) << size << ": " << said;
  }
  std::string damaged = flac;
  damaged[damaged.size() / 2] ^= 16;
  const std::string said = refusal(damaged);
  EXPECT_TRUE(said.starts_with("is damaged (") || said.starts_with("is cut short")) << said;
  EXPECT_EQ(refusal(file_of({}, 1, 8000, SF_FORMAT_WAV | SF_FORMAT_PCM_16)), "has no samples; record or make it again");
  EXPECT_EQ(refusal(file_of({0, std::nanf(""), 0}, 1, 8000, SF_FORMAT_WAV | SF_FORMAT_FLOAT)),
            "holds nan at sample 1; samples lie in [-16, 16], and 1 is full scale: scale it");
  EXPECT_EQ(refusal(file_of({0, 0, 0, -12345}, 2, 8000, SF_FORMAT_WAV | SF_FORMAT_FLOAT)),
            "holds -12345.000000 at sample 1; samples lie in [-16, 16], and 1 is full scale: scale it");
  EXPECT_EQ(refusal(file_of(moments, 1, 8000, SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM)),
            "is a WAV with packed samples; convert it to one of PCM or to FLAC");
  EXPECT_EQ(refusal(file_of(moments, 1, 100, SF_FORMAT_WAV | SF_FORMAT_PCM_16)),
            "has 100 samples a second; 1000 to 768000 can be read; convert it");
  // A program that writes to a pipe can't go back to say how long the file is.
  std::string open = wav;
  open.replace(4, 4, "\xff\xff\xff\xff").replace(40, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(decode_sound(as_bytes(open), "a").length(), 5000);
}

TEST(Resample, KeepsTonesAndTheirPlaces) {
  for (const int from : {8000, 16'000, 44'100, 48'000, 96'000}) {
    const SoundValues sound{1, from, tone(1000, from, from / 2)};
    const SoundValues result = resample(sound, 22'050, 11'025);
    ASSERT_EQ(result.length(), 11'025);
    EXPECT_EQ(result.rate, 22'050);
    const std::vector<float> wanted = tone(1000, 22'050, 11'025);
    // Away from the ends, where the window reaches beyond the sound. 90 dB below 1 is 3e-5; times the tone's 0.5, and
    // what the window does to a tone that passes.
    for (std::size_t i = 500; i < 10'500; ++i) ASSERT_NEAR(result.values[i], wanted[i], 1e-4) << from << " Hz, " << i;
  }
}

TEST(Resample, LeavesNothingAboveHalfOfTheRate) {
  for (const double frequency : {11'100.0, 15'000.0, 21'000.0}) {
    const SoundValues result = resample({1, 44'100, tone(frequency, 44'100, 22'050)}, 22'050, 11'025);
    for (std::size_t i = 500; i < 10'500; ++i) ASSERT_LT(std::abs(result.values[i]), 1e-4) << frequency << " Hz";
  }
}

TEST(Resample, CutsAndPadsWithSilence) {
  const SoundValues sound{2, 8000, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(resample(sound, 8000, 2).values, (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(resample(sound, 8000, 4).values, (std::vector<float>{1, 2, 3, 0, 4, 5, 6, 0}));
  const SoundValues padded = resample({1, 8000, tone(500, 8000, 800)}, 16'000, 4000);
  for (std::size_t i = 2000; i < 4000; ++i) EXPECT_EQ(padded.values[i], 0);
  EXPECT_EQ(error_of([&] { resample(sound, 0, 1); }), "usage: rate = 0 and count = 1 must be 1 or more");
}

constexpr int wave_height = 72, rows = 128, spectrum_top = wave_height + 2;

/// Red, green and blue, added.
int brightness(const Picture& picture, int x, int y) {
  const std::uint8_t* pixel = &picture.pixels[(std::size_t(y) * picture.width + x) * 3];
  return pixel[0] + pixel[1] + pixel[2];
}

TEST(PictureOfSound, ShowsATonesFrequencyAndWhenItSounds) {
  // A second of which the second half is a tone, two octaves and a half below half of the rate.
  const int rate = 16'000;
  std::vector<float> values(8000);
  const std::vector<float> sounding = tone(rate / 2 / std::exp2(2.5), rate, 8000, 1);
  values.insert(values.end(), sounding.begin(), sounding.end());
  const std::vector<std::int64_t> shape{1, 16'000};
  const Picture picture = picture_of_sound(values, shape, -1, 1, rate);
  ASSERT_EQ(picture.width, 256);
  ASSERT_EQ(picture.height, spectrum_top + rows);
  int brightest = 0;
  for (int row = 0; row < rows; ++row) {
    EXPECT_EQ(brightness(picture, 60, spectrum_top + row), 4);  // silence is black with a touch of blue
    if (brightness(picture, 200, spectrum_top + row) > brightness(picture, 200, spectrum_top + brightest))
      brightest = row;
  }
  // Sixteen rows an octave; the tone lies between two.
  EXPECT_NEAR(brightest, 2.5 * 16, 1);
  EXPECT_GT(brightness(picture, 200, spectrum_top + brightest), 600);  // nearly white: full scale
  EXPECT_LT(brightness(picture, 200, spectrum_top + 16), 150);         // an octave and a half above
  // The waveform: a line in the middle, then all of the height.
  EXPECT_EQ(brightness(picture, 60, 4), 4);
  EXPECT_GT(brightness(picture, 60, wave_height / 2), 400);
  EXPECT_GT(brightness(picture, 200, 4), 400);
}

TEST(PictureOfSound, TakesAnyLengthAndCaption) {
  for (const std::int64_t length : {1, 12, 255, 100'000}) {
    const std::vector<float> values(static_cast<std::size_t>(2 * length), 0.1F);
    const Picture picture = picture_of_sound(values, std::vector<std::int64_t>{2, length}, -1, 1, 100,
                                             "a name that is far too long for a picture of this width, and seed 12");
    EXPECT_EQ(picture.width, 256);
    EXPECT_GT(picture.height, spectrum_top + rows);
  }
  const std::vector<float> broken{0, std::nanf("")};
  EXPECT_EQ(error_of([&] {
              picture_of_sound(broken, std::vector<std::int64_t>{1, 2}, -1, 1, 100);
            }),
            "numerical: a sample holds NaN or infinity, which no picture or sound can show");
  EXPECT_EQ(error_of([&] { picture_of_sound(broken, std::vector<std::int64_t>{2}, -1, 1, 100); }),
            "usage: shape = [2] must be [C, L], each 1 or more");
}

}  // namespace
}  // namespace onestep
