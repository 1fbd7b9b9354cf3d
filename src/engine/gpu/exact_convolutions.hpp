#pragma once

namespace torch::jit {
struct Node;
}

namespace onestep::engine {

/// Where the node is a convolution of float32, its products are of float32 from here on. Else cuDNN makes them of 10
/// bits (TF32) where that was allowed when the network was traced, or is allowed in this process, as it is by default.
void convolve_exactly(torch::jit::Node* node);

}  // namespace onestep::engine
