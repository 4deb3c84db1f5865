#include "control/service_notify.h"

#include <string>

#include <systemd/sd-daemon.h>

namespace control {
namespace {

// A supervisor that does not listen is its own loss: the role goes on.
void tell(const std::string& state) { static_cast<void>(sd_notify(0, state.c_str())); }

}  // namespace

void notify_ready() { tell("READY=1"); }

void notify_status(std::string_view line) {
  std::string state = "STATUS=";
  for (const char c : line) state += c == '\n' ? ' ' : c;  // a newline would begin another variable
  tell(state);
}

void notify_stopping() { tell("STOPPING=1"); }

void notify_watchdog() { tell("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t allowed_us = 0;
  if (sd_watchdog_enabled(0, &allowed_us) <= 0 || allowed_us == 0) return std::nullopt;
  return std::chrono::microseconds(allowed_us / 2);
}

}  // namespace control
