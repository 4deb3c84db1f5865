// The table a burst is worked on. One column per fact, one row per request; filled by the worker, worked on
// by nts::Server, read back by the worker. Nothing in it is allocated.
#pragma once

#include <array>
#include <cstdint>

#include "nts/ntp_time.h"
#include "nts/request.h"

namespace nts {

inline constexpr std::uint32_t burst_max = 32;  // DPDK's usual burst; lanes fill well at 8 and 16

struct Batch {
  std::uint32_t count = 0;
  // The UDP payload: the request on the way in, the answer on the way out, in the same octets.
  std::array<std::uint8_t*, burst_max> packet;
  std::array<std::uint16_t, burst_max> packet_bytes;  // of the request; an answer is never longer
  std::array<NtpTime, burst_max> received;            // T2
  // Written by Server.
  std::array<Request, burst_max> request;             // what was found, with the verdict
  std::array<std::uint16_t, burst_max> answer_bytes;  // 0 when there is no answer
};

}  // namespace nts
