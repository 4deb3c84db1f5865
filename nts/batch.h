// The table a burst is worked on. One column per fact, one row per request; filled by the worker, worked on
// by nts::Server, read back by the worker. Nothing in it is allocated.
#pragma once

#include <array>
#include <cstdint>

#include "nts/ntp_time.h"
#include "nts/request.h"

namespace nts {

inline constexpr std::uint32_t burst_max = 32;  // DPDK's usual burst; lanes fill well at 8 and 16

// What the worker has decided of a request's source before anybody read the request.
enum class Treatment : std::uint8_t {
  serve,
  nts_only,               // a plain request is refused ...
  nts_only_or_kiss_deny,  // ... with a kiss
  kiss_deny,              // whatever it asks, as long as it is a request
  kiss_rate
};

static_assert(burst_max <= 32);  // Batch::smeared

struct Batch {
  std::uint32_t count = 0;
  // The UDP payload: the request on the way in, the answer on the way out, in the same octets.
  std::array<std::uint8_t*, burst_max> packet;
  std::array<std::uint16_t, burst_max> packet_bytes;  // of the request; an answer is never longer
  std::array<NtpTime, burst_max> received;            // T2
  std::array<Treatment, burst_max> treatment{};       // nothing but `serve` unless the worker says otherwise
  std::uint32_t smeared = 0;  // a bit for each row whose answer is stamped in smeared time
  // Written by Server.
  bool has_kisses = false;                            // some row's verdict is a kiss of death
  bool asks_mono_root = false;                        // some row's answer has a field of mono_root.h
  std::array<Request, burst_max> request;             // what was found, with the verdict
  std::array<std::uint16_t, burst_max> answer_bytes;  // 0 when there is no answer
  std::array<std::uint8_t, burst_max> cookies;        // in the answer, where it is authenticated
};

}  // namespace nts
