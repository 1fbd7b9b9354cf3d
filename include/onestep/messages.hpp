#pragma once

#include <functional>
#include <string>

namespace onestep {

/// What a network says while it is loaded or called: what its code prints, and what libtorch warns of.
struct Message {
  std::string network;  ///< Its file.
  std::string text;     ///< Lines without the last line break, of whatever bytes the network chose.
};
/// Called from the thread that loads or calls the network, from several at once where several do. What it throws is
/// dropped.
using MessageHandler = std::function<void(const Message&)>;

/// Takes what the networks of this process say, in place of the handler before. Without one, the default, it is
/// dropped: the library never prints. Not for what code of torch.jit.fork says, which libtorch runs on threads of its
/// own.
void set_message_handler(MessageHandler handler);

}  // namespace onestep
