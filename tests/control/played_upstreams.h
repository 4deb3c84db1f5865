// A true time with a leap second in it, a counter, and servers that tell it over a network: what the engines
// of the clock role are tried on, tick by tick and with no clock read.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hwclock/clock_state.h"
#include "hwclock/leap.h"
#include "hwclock/tsc_fit.h"
#include "hwclock/upstream_measure.h"
#include "hwclock/upstream_panel.h"

namespace control {

class PlayedWorld {
 public:
  static constexpr std::uint64_t hz = 1'000'000'000;
  static constexpr std::int64_t ns_per_s = 1'000'000'000;

  // Begins `before_s` before the change of `truth`. The counter is fast by `fast_ppb`.
  PlayedWorld(const hwclock::LeapPlan& truth, std::int64_t before_s, double fast_ppb = 3'000.0)
      : truth_(truth), begin_ns_((truth.change_tai_s - before_s) * ns_per_s), fast_(fast_ppb) {}

  void pass(std::int64_t ns) { past_ns_ += ns; }

  [[nodiscard]] std::int64_t tai_ns() const { return begin_ns_ + past_ns_; }
  [[nodiscard]] std::int64_t utc_ns_at(std::int64_t tai_ns) const {
    return tai_ns - hwclock::tai_minus_utc_at(truth_, {tai_ns}) * ns_per_s;
  }
  [[nodiscard]] std::int64_t utc_ns() const { return utc_ns_at(tai_ns()); }
  [[nodiscard]] double to_change_s() const {
    return static_cast<double>(truth_.change_tai_s * ns_per_s - tai_ns()) / 1e9;
  }
  [[nodiscard]] std::uint64_t tick_after(std::int64_t ns) const {
    return 5 * hz + static_cast<std::uint64_t>(
                        std::llround(static_cast<double>(past_ns_ + ns) * (1.0 + fast_ * 1e-9)));
  }
  [[nodiscard]] std::uint64_t tick() const { return tick_after(0); }
  // Beyond true UTC.
  [[nodiscard]] double error_ns(const hwclock::Line& line) const {
    const std::uint64_t served = hwclock::ntp_at(line, tick());
    return static_cast<double>(static_cast<std::int64_t>(served - hwclock::ntp_of_utc(utc_ns()))) * 1e9 /
           0x1p32;
  }
  [[nodiscard]] double error_ns(const hwclock::ClockState& state) const {
    return error_ns(hwclock::Line{state.tsc0, state.ntp0, state.mult});
  }

 private:
  hwclock::LeapPlan truth_;
  std::int64_t begin_ns_;
  std::int64_t past_ns_ = 0;
  double fast_;
};

struct PlayedServer {
  std::uint32_t announces = 0;  // the leap indicator that it sends
  bool has_leap = true;         // makes the change when it comes
  bool is_up = true;
};

class PlayedUpstreams {
 public:
  PlayedUpstreams(std::size_t count, std::uint32_t announces)
      : panel(count), servers(count, PlayedServer{announces, true, true}), measures_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      hwclock::UpstreamMember& member = panel.member(i);
      member.stratum = 2;
      member.reference_id = 0x0a000001 + static_cast<std::uint32_t>(i);
      member.may_lead = true;
      member.authenticated = true;
    }
  }

  // One exchange with server `index`, 1 ms each way. False when nothing came of it. A server says nothing
  // while it makes the change.
  bool ask(const PlayedWorld& world, const hwclock::LeapPlan& truth, std::size_t index, double ticks_per_s) {
    const PlayedServer& server = servers[index];
    hwclock::UpstreamMember& member = panel.member(index);
    member.reach = static_cast<std::uint8_t>(member.reach << 1);
    const bool is_changing = hwclock::leap_indicator_at(truth, {world.tai_ns()}) == 3;
    if (!server.is_up || (server.has_leap && is_changing)) return false;
    constexpr std::int64_t way_ns = 1'000'000;
    const std::int64_t tai_ns = world.tai_ns() + way_ns;
    hwclock::UpstreamExchange exchange;
    exchange.sent_tick = world.tick();
    exchange.server_received_ns =
        server.has_leap ? world.utc_ns_at(tai_ns) : tai_ns - truth.tai_minus_utc_s * PlayedWorld::ns_per_s;
    exchange.server_sent_ns = exchange.server_received_ns + 10'000;
    exchange.received_tick = world.tick_after(2 * way_ns + 10'000);
    exchange.precision_ns = 1'000;
    exchange.root_delay_ns = 500'000;
    exchange.root_dispersion_ns = 300'000;
    member.reach |= 1;
    if (!measures_[index].take(exchange, ticks_per_s)) return false;
    member.has_news = true;
    member.leap = server.announces;
    member.news = *measures_[index].news();
    return true;
  }

  hwclock::UpstreamPanel panel;
  std::vector<PlayedServer> servers;

 private:
  std::vector<hwclock::UpstreamMeasure> measures_;
};

}  // namespace control
