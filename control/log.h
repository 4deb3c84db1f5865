// Lines for the operator on stderr: plain for a terminal, with the journal's priority in front under systemd.
//
// Nothing here is called per packet, and what strangers can cause goes through a LogLimit: at most one line
// of a class per second (TESTS.md F14). Never a key, a cookie or a session in a line.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace control {

enum class Severity : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6 };  // as in syslog

// Who speaks: stands in front of each line. Called once, at start.
void set_log_name(std::string_view name);

// Writes one line by one write(2), so that the lines of several roles do not mix. Control characters become
// '?'. Safe from any thread.
void log(Severity severity, std::string_view text);

// One class of lines that strangers may cause.
class LogLimit {
 public:
  static constexpr std::chrono::seconds interval{1};

  // True when a line may be written now; then `suppressed` is how many were not since the last.
  [[nodiscard]] bool allow(std::uint64_t& suppressed,
                           std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

  // Writes the line if the class allows it, with the count of those it did not.
  void log(Severity severity, std::string_view text);

 private:
  std::chrono::steady_clock::time_point next_{};
  std::uint64_t suppressed_ = 0;
};

}  // namespace control
