// One child and its lives: started, ready, silent, dead, started again.
//
// No waiting in here: the launcher's loop says what happened and what time it is, and asks when to come back.
// A child that dies is started again at once the first time, then after a pause that doubles, so that a
// broken one costs nothing; one that lived long enough has its record clean. Readiness and watchdog are those
// of sd_notify(3), on a socket that only this child's user can write to.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "control/child_process.h"
#include "control/descriptor.h"

namespace control {

class Supervised {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds first_pause{100};
  static constexpr std::chrono::milliseconds longest_pause{5000};
  static constexpr std::chrono::seconds clean_after{10};       // of life
  static constexpr std::chrono::seconds start_max{60};         // from fork to READY=1
  static constexpr std::chrono::milliseconds last_words{500};  // between SIGABRT and SIGKILL

  // Makes the notify socket in `directory`. `family_lock`: see start_child(). Throws std::runtime_error.
  Supervised(ChildSpec spec, const std::filesystem::path& directory, int family_lock);
  ~Supervised();  // kills what still runs, and removes the socket
  Supervised(const Supervised&) = delete;
  Supervised& operator=(const Supervised&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return spec_.name; }
  [[nodiscard]] int notify_fd() const noexcept { return socket_.get(); }
  [[nodiscard]] bool is_running() const noexcept { return pid_ > 0; }
  [[nodiscard]] bool is_ready() const noexcept { return is_ready_; }

  // Its first life begins, by look(). Until then it waits.
  void begin(Time now) noexcept;
  // Reads what the child says.
  void receive(Time now);
  // Starts it when its time has come; kills it when it was silent too long. Throws std::runtime_error when
  // there can be no new process; the next try is then longest_pause away.
  void look(Time now);
  // The child could not have spoken until now: the whole machine stood still. Its silence begins anew.
  void excuse(Time now) noexcept { last_sign_ = now; }
  // When look() has something to do next; nothing: only after another event.
  [[nodiscard]] std::optional<Time> next_look() const noexcept;
  // Sees whether it has ended; if so, just now, then who and how: "keeper (process 12) was killed by
  // SIGKILL". Its next life begins after pause(), by look().
  [[nodiscard]] std::optional<std::string> reap(Time now);
  [[nodiscard]] std::chrono::milliseconds pause() const noexcept { return pause_; }
  // Sends a signal, if it runs.
  void signal(int number) const noexcept;
  // SIGHUP, if it knows what to do with that; once it serves, if it does not yet.
  void reload() noexcept;
  // From now on its death is what was asked for, and it is not started again.
  void stop() noexcept;
  // SIGKILL to it and all it started.
  void kill() const noexcept;

 private:
  void start(Time now);
  void keep_socket();
  void hear(std::string_view message, Time now);
  void end_silent(const std::string& why, Time now);

  ChildSpec spec_;
  std::filesystem::path socket_path_;
  Descriptor socket_;
  int family_lock_;
  pid_t pid_ = 0;
  bool is_ready_ = false;
  bool is_stopping_ = false;
  bool must_reload_ = false;  // as soon as it is ready
  Time started_{};
  Time last_sign_{};
  std::optional<Time> start_at_;             // its next life
  std::optional<Time> kill_at_;              // SIGABRT was sent
  std::chrono::milliseconds pause_{0};       // before the life that comes next
  std::chrono::milliseconds next_pause_{0};  // and before the one after
  std::string status_;
};

}  // namespace control
