// From exchanges with one server to what its filter makes of them, by ticks: what is reported to the clock.
//
// Each exchange is stamped by ticks, never by a clock that might be stepped, so a sample is "the server's
// clock said this at that tick" and stays true whatever becomes of ours. The filter (RFC 5905 section 10)
// needs a clock to compare samples of different age: that is the ticks at the rate of the clock page, which
// is as true as the clock has learned it. Pure: the caller brings exchanges, ticks and the rate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "hwclock/upstream_filter.h"

namespace hwclock {

// One exchange that brought time. The server's stamps are UTC in nanoseconds since 1970.
struct UpstreamExchange {
  std::uint64_t sent_tick = 0;
  std::uint64_t received_tick = 0;
  std::int64_t server_received_ns = 0;
  std::int64_t server_sent_ns = 0;
  std::uint64_t precision_ns = 0;
  std::uint64_t root_delay_ns = 0;
  std::uint64_t root_dispersion_ns = 0;
};

// What the filter says: the server's clock at a tick, and how good that is.
struct UpstreamNews {
  std::uint64_t tick = 0;         // of the sample that speaks
  std::int64_t utc_ns = 0;        // the server's clock there
  std::uint64_t newest_tick = 0;  // of the newest sample: the rest is as of then
  std::uint64_t delay_ns = 0;
  std::uint64_t dispersion_ns = 0;
  std::uint64_t jitter_ns = 0;
  std::uint64_t root_delay_ns = 0;
  std::uint64_t root_dispersion_ns = 0;
};

class UpstreamMeasure {
 public:
  // `ticks_per_s`: the best that is known of them now. Gives false when the exchange teaches nothing.
  bool take(const UpstreamExchange& exchange, double ticks_per_s) noexcept;

  // Another server answers from now on.
  void clear() noexcept { *this = UpstreamMeasure(); }

  // Empty until there is a sample.
  [[nodiscard]] const std::optional<UpstreamNews>& news() const noexcept { return news_; }

  // The last sample lay within the jitter of what was known before it.
  [[nodiscard]] bool is_steady() const noexcept { return is_steady_; }

 private:
  struct Stamp {
    std::int64_t at_ns = 0;  // on the filter's clock
    std::uint64_t tick = 0;
    std::int64_t utc_ns = 0;
  };

  [[nodiscard]] bool is_stranger(const UpstreamSample& sample) const noexcept;

  UpstreamFilter filter_;
  std::array<Stamp, upstream_stages> stamps_{};  // newest first, as the filter's
  Stamp speaking_;
  std::optional<UpstreamNews> news_;
  bool has_sample_ = false;
  bool is_steady_ = false;
  std::uint32_t strangers_ = 0;  // samples in a row that tell of another time
  std::int64_t base_ns_ = 0;     // of the first sample: the filter works with small offsets
};

}  // namespace hwclock
