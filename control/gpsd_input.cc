#include "control/gpsd_input.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>
#include <variant>

namespace control {
namespace {

constexpr std::string_view watch = "?WATCH={\"enable\":true,\"json\":true,\"pps\":true};\n";

// A peer whose machine went without a word is found out within a minute.
void keep_alive(int fd) {
  constexpr int on = 1;
  constexpr int idle_s = 30;
  constexpr int interval_s = 10;
  constexpr int probes = 3;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace

GpsdInput::GpsdInput(const GpsdAddress& address, std::uint64_t tick_hz)
    : address_(address), tick_hz_(static_cast<double>(tick_hz)) {}

std::uint64_t GpsdInput::ticks_of(double seconds) const noexcept {
  return static_cast<std::uint64_t>(seconds * tick_hz_);
}

void GpsdInput::tend(std::uint64_t tick) {
  if (!socket_.is_open()) {
    if (tick >= next_try_tick_) connect(tick);
    return;
  }
  if (is_greeted_ || is_given_up_ || tick - begun_tick_ <= ticks_of(greeting_s_max)) return;
  // Not closed here: who waits for the descriptor must hear of it.
  ::shutdown(socket_.get(), SHUT_RDWR);
  is_given_up_ = true;
}

void GpsdInput::connect(std::uint64_t tick) {
  // An address literal, as the configuration requires.
  const boost::asio::ip::tcp::endpoint to(boost::asio::ip::make_address(address_.host), address_.port);
  begun_tick_ = tick;
  is_greeted_ = false;
  is_given_up_ = false;
  reader_.start_over();
  ++openings_;
  socket_ = Descriptor(::socket(to.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.is_open()) {
    lose(std::strerror(errno), tick);
    return;
  }
  keep_alive(socket_.get());
  const auto bytes = static_cast<socklen_t>(to.size());
  if (::connect(socket_.get(), to.data(), bytes) != 0 && errno != EINPROGRESS)
    lose(std::strerror(errno), tick);
}

void GpsdInput::lose(const std::string& why, std::uint64_t tick) {
  socket_.reset();
  trouble_ = "gpsd at " + address_.text() + " says nothing: " + why;
  if (trouble_ != logged_) log_.log(Severity::warning, trouble_ + "; it is asked again");
  logged_ = trouble_;
  if (is_greeted_) pause_s_ = pause_s_min;
  is_greeted_ = false;
  next_try_tick_ = tick + ticks_of(pause_s_);
  pause_s_ = std::min(2.0 * pause_s_, pause_s_max);
}

void GpsdInput::hear(const hwclock::GpsdMessage& message, std::uint64_t tick) {
  if (const auto* refusal = std::get_if<hwclock::GpsdRefusal>(&message)) {
    log_.log(Severity::warning, "gpsd at " + address_.text() + " refuses: " + refusal->text);
    return;
  }
  const auto* version = std::get_if<hwclock::GpsdVersion>(&message);
  if (version == nullptr || is_greeted_) return;
  is_greeted_ = true;
  if (::send(socket_.get(), watch.data(), watch.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(watch.size())) {
    lose("it does not listen", tick);
    return;
  }
  trouble_.clear();
  logged_.clear();
  log_.log(Severity::notice, "gpsd at " + address_.text() + " is heard, protocol " +
                                 std::to_string(version->major) + "." + std::to_string(version->minor));
}

const std::vector<hwclock::GpsdMessage>& GpsdInput::read(std::uint64_t tick) {
  heard_.clear();
  if (!socket_.is_open()) return heard_;
  std::array<std::uint8_t, octets_max> room;
  const ssize_t count = ::recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR)
      lose(is_given_up_ ? "it does not greet" : std::strerror(errno), tick);
    return heard_;
  }
  if (count == 0) {
    lose(is_given_up_ ? "it does not greet" : "it closed the connection", tick);
    return heard_;
  }
  reader_.take(std::span(room).first(static_cast<std::size_t>(count)), heard_);
  for (const hwclock::GpsdMessage& message : heard_) hear(message, tick);
  return heard_;
}

}  // namespace control
