// What a role tells its supervisor, systemd or our own launcher, in sd_notify(3)'s protocol. Without a
// NOTIFY_SOCKET all of it does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace control {

// The role serves: sockets are bound, pages are published.
void notify_ready();

// One line for people, shown by `systemctl status`.
void notify_status(std::string_view line);

// The role has begun to stop of its own will.
void notify_stopping();

// "Still alive": to be sent within each watchdog_interval().
void notify_watchdog();

// How often to send it: half of what the supervisor allows. Empty: the supervisor does not watch.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace control
