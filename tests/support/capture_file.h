// Captures as tests keep them: classic pcap, Ethernet, written by tests/golden/capture.py.
#pragma once

#include <filesystem>
#include <vector>

#include "tests/support/frame_builder.h"

namespace tests {

// The frames of `file`, in order. Throws std::runtime_error when it is no such capture.
[[nodiscard]] std::vector<Octets> read_capture(const std::filesystem::path& file);

}  // namespace tests
