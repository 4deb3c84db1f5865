// The daemon behind a pulse socket: one sample, in the octets of chrony's SOCK protocol.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "control/descriptor.h"

namespace tests {

struct SockSample {
  timeval at;
  double offset_s;
  std::int32_t is_pulse;
  std::int32_t leap;
  std::int32_t padding;
  std::int32_t magic;
};
static_assert(sizeof(SockSample) == 40);

// Says to who listens at `path` that the kernel's clock was right when it showed `utc_ns`, and whether that
// is a pulse, which names no second. While nobody listens, nobody hears.
inline void send_sock_sample(const std::filesystem::path& path, std::int64_t utc_ns, bool is_pulse = false) {
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  constexpr std::int32_t magic = 0x534f434b;
  const SockSample sample{{utc_ns / ns_per_s, utc_ns % ns_per_s / 1000}, 0.0, is_pulse ? 1 : 0, 0, 0, magic};
  const control::Descriptor out(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.native().size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  static_cast<void>(::sendto(out.get(), &sample, sizeof sample, MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

}  // namespace tests
