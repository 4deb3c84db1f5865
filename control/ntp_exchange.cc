#include "control/ntp_exchange.h"

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <sys/socket.h>

#include "hwclock/tsc.h"

namespace control {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;
using nts::AnswerVerdict;
using namespace asio::experimental::awaitable_operators;

constexpr std::int64_t stamp_age_max_ns = 1'000'000'000;
constexpr std::size_t datagram_bytes_max =
    65'535;  // more than any answer, so that none is cut to look like one

nts::NtpTime ntp_from(const timespec& utc) {
  return nts::ntp_from_utc_ns(std::int64_t{utc.tv_sec} * 1'000'000'000 + utc.tv_nsec);
}

std::int64_t utc_ns_of(const timespec& utc) { return std::int64_t{utc.tv_sec} * 1'000'000'000 + utc.tv_nsec; }

timespec read_utc() {
  timespec utc{};
  ::clock_gettime(CLOCK_REALTIME, &utc);
  return utc;
}

nts::NtpTime now() { return ntp_from(read_utc()); }

struct Datagram {
  std::array<std::uint8_t, datagram_bytes_max> octets;
  std::size_t bytes = 0;
  nts::NtpTime received{};
  std::uint64_t tick = 0;   // when it was looked at ...
  std::int64_t ago_ns = 0;  // ... and how long before it came

  [[nodiscard]] std::span<const std::uint8_t> payload() const { return std::span(octets).first(bytes); }
};

// False with errno when there is none.
bool receive(int fd, Datagram& datagram) {
  iovec place{datagram.octets.data(), datagram.octets.size()};
  alignas(cmsghdr) std::array<char, 256> control;
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (bytes < 0) return false;
  datagram.bytes = static_cast<std::size_t>(bytes);
  const timespec looked = read_utc();
  datagram.tick = hwclock::read_tsc_in_order();
  datagram.received = ntp_from(looked);  // for a kernel that does not stamp
  datagram.ago_ns = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
    datagram.received = ntp_from(stamp);
    const std::int64_t ago_ns = utc_ns_of(looked) - utc_ns_of(stamp);
    // Longer than any look takes, or in the future: somebody set the clock in between.
    datagram.ago_ns = ago_ns > 0 && ago_ns < stamp_age_max_ns ? ago_ns : 0;
  }
  return true;
}

bool is_kiss(AnswerVerdict verdict) {
  return verdict == AnswerVerdict::kiss || verdict == AnswerVerdict::nts_nak;
}

NtpExchange unreachable(const error_code& error) {
  NtpExchange exchange;
  exchange.end = NtpExchange::End::unreachable;
  exchange.fault = error.message();
  return exchange;
}

}  // namespace

asio::awaitable<NtpExchange> exchange_ntp(udp::endpoint server, const nts::ClientRequest& request,
                                          nts::ClientSession* session, const nts::AeadKernels* kernels,
                                          std::chrono::milliseconds deadline) {
  const auto executor = co_await asio::this_coro::executor;
  udp::socket socket(executor);
  error_code error;
  socket.open(server.protocol(), error);
  if (!error) socket.connect(server, error);
  if (error) co_return unreachable(error);
  const int on = 1;
  (void)::setsockopt(socket.native_handle(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);

  asio::steady_timer timer(executor, deadline);
  const nts::NtpTime sent = now();
  const std::uint64_t sent_tick = hwclock::read_tsc_in_order();
  socket.send(asio::buffer(request.packet.data(), request.bytes), 0, error);
  if (error) co_return unreachable(error);

  NtpExchange exchange;
  exchange.sent_tick = sent_tick;
  if (const auto local = socket.local_endpoint(error); !error) exchange.local = local.address();
  const auto datagram = std::make_unique<Datagram>();
  for (;;) {
    error_code ignored;
    const auto first = co_await (
        socket.async_wait(udp::socket::wait_read, asio::redirect_error(asio::use_awaitable, ignored)) ||
        timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored)));
    // The clock is asked too: a flood of packets must not keep the timer from its turn.
    if (first.index() != 0 || timer.expiry() <= std::chrono::steady_clock::now()) co_return exchange;
    if (!receive(socket.native_handle(), *datagram)) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) continue;
      co_return unreachable({errno, boost::system::system_category()});
    }
    const nts::Answer answer = nts::read_answer(datagram->payload(), request, session, kernels);
    if (nts::is_refused(answer.verdict)) {
      ++exchange.ignored;
      exchange.last_ignored = answer.verdict;
      continue;
    }
    exchange.end = NtpExchange::End::answered;
    exchange.answer = answer;
    exchange.received_tick = datagram->tick;
    exchange.received_ago_ns = datagram->ago_ns;
    exchange.measurement = nts::measure(sent, answer.receive, answer.transmit, datagram->received);
    if (is_kiss(answer.verdict) && request.authenticated && !answer.authenticated) continue;
    co_return exchange;
  }
}

}  // namespace control
