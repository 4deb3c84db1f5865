// The connection to gpsd: made, kept, and made anew when it is lost, without ever waiting for it.
//
// gpsd greets who connects with its version; only then is it asked to report, so that a stranger on its port
// is told nothing. One that does not greet, or goes away, is tried again after a second, two, four and so on
// up to 16; after its greeting it may be silent, for so it is without a fix, and the kernel asks whether it
// lives. What it costs is bounded by how often one reads, and by octets_max each time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/descriptor.h"
#include "control/log.h"
#include "hwclock/gpsd.h"

namespace control {

class GpsdInput {
 public:
  static constexpr std::size_t octets_max = 4096;  // a reading: gpsd says a few thousand a second
  static constexpr double greeting_s_max = 10.0;   // it greets at once
  static constexpr double pause_s_min = 1.0;
  static constexpr double pause_s_max = 16.0;

  // `address` outlives this.
  GpsdInput(const GpsdAddress& address, std::uint64_t tick_hz);

  // Connects when that is due, and gives up a connection without a greeting: it then reads as ended.
  void tend(std::uint64_t tick);

  // To wait for; -1 while there is none.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  // What came; empty when nothing did. Good until the next call. Call when the descriptor is readable.
  [[nodiscard]] const std::vector<hwclock::GpsdMessage>& read(std::uint64_t tick);

  // Why it says nothing; empty while it may.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  [[nodiscard]] std::uint64_t dropped_lines() const noexcept { return reader_.dropped_lines(); }
  [[nodiscard]] std::uint64_t openings() const noexcept { return openings_; }

 private:
  void connect(std::uint64_t tick);
  void lose(const std::string& why, std::uint64_t tick);
  void hear(const hwclock::GpsdMessage& message, std::uint64_t tick);
  [[nodiscard]] std::uint64_t ticks_of(double seconds) const noexcept;

  const GpsdAddress& address_;
  double tick_hz_;
  hwclock::GpsdReader reader_;
  std::vector<hwclock::GpsdMessage> heard_;
  Descriptor socket_;
  bool is_greeted_ = false;
  bool is_given_up_ = false;
  std::uint64_t begun_tick_ = 0;  // the connection
  std::uint64_t next_try_tick_ = 0;
  double pause_s_ = pause_s_min;
  std::uint64_t openings_ = 0;
  std::string trouble_;
  std::string logged_;
  LogLimit log_;
};

}  // namespace control
