#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace onestep {

/// How a picture gets the size that a feature network takes.
enum class Resize {
  bicubic,   ///< Catmull-Rom, antialiased, as Pillow does it (clean-fid: Parmar et al. 2022).
  bilinear,  ///< Without antialiasing, as pytorch-fid does it.
};
/// bicubic or bilinear.
const char* name_of(Resize resize);

/// How samples become points, and what the network is given. Pictures become bytes first, as in the file that a user
/// would save; bytes 0 to 255, or of other samples their own range, become `range`.
struct FeatureOptions {
  /// A TorchScript network: float32 [N, ...] to features float32 [N, D], or to a pair of features and logits [N, K],
  /// by which it classifies. Trailing sizes of 1 are dropped. Empty: the values themselves are the features.
  std::string network = {};
  std::optional<std::pair<std::int64_t, std::int64_t>> size =
      {};                                               ///< Width and height of its pictures; none: as they are.
  Resize resize = Resize::bicubic;                      ///< How they get it.
  std::optional<std::int64_t> channels = {};            ///< 3: grey pictures are repeated; none: as they are.
  std::optional<std::pair<double, double>> range = {};  ///< Rising; none: that of the samples.
};

/// Mean and covariance of a set of points.
struct FeatureMoments {
  std::int64_t dimensions = 0;     ///< D >= 1.
  std::vector<double> mean;        ///< [D].
  std::vector<double> covariance;  ///< [D, D], the sum of squares divided by N - 1.
};

}  // namespace onestep
