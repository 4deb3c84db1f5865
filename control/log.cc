#include "control/log.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

namespace control {
namespace {

constexpr std::size_t line_bytes_max = 1024;  // below PIPE_BUF, so that one write is one piece

std::string& log_name() {
  static std::string name;
  return name;
}

// JOURNAL_STREAM is "device:inode" of the stream that systemd gave us (sd-daemon(3)); anything else on stderr
// is a terminal or a file, where a priority would only be noise.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

}  // namespace

void set_log_name(std::string_view name) { log_name() = name; }

void log(Severity severity, std::string_view text) {
  static const bool with_priority = stderr_is_journal();
  std::string line;
  if (with_priority) line += "<" + std::to_string(static_cast<int>(severity)) + ">";
  if (!log_name().empty()) line += log_name() + ": ";
  line += text.substr(0, line_bytes_max);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  line += '\n';
  // A log that cannot be written must not stop the service: there is nobody left to tell.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

bool LogLimit::allow(std::uint64_t& suppressed, std::chrono::steady_clock::time_point now) {
  if (now < next_) {
    ++suppressed_;
    return false;
  }
  next_ = now + interval;
  suppressed = suppressed_;
  suppressed_ = 0;
  return true;
}

void LogLimit::log(Severity severity, std::string_view text) {
  std::uint64_t suppressed = 0;
  if (!allow(suppressed)) return;
  std::string line(text);
  if (suppressed != 0) line += " (and " + std::to_string(suppressed) + " more like it)";
  control::log(severity, line);
}

}  // namespace control
