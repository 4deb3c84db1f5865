// One NTP request and the answer to it, over a UDP socket of its own (RFC 9109: a random port each time).
//
// What is no answer is dropped and waited on, because anybody can send such packets. T1 is read right before
// the send; T4 is the kernel's receive stamp, so that a busy machine does not lengthen the delay.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "nts/client.h"

namespace control {

struct NtpExchange {
  enum class End : std::uint8_t {
    answered,
    silent,       // nothing that was an answer came in time
    unreachable,  // the network said so
  };
  End end = End::silent;
  nts::Answer answer;                 // when answered
  nts::Measurement measurement;       // when answered with stamps
  std::uint64_t sent_tick = 0;        // TSC, for those whose clock may be stepped meanwhile
  std::uint64_t received_tick = 0;    // when answered: when we looked, and ...
  std::int64_t received_ago_ns = 0;   // ... how long before that the kernel had it
  boost::asio::ip::address local;     // that the packet left from
  std::uint32_t ignored = 0;          // packets that were no answer
  nts::AnswerVerdict last_ignored{};  // of the last of them
  std::string fault;                  // when unreachable: the system's reason
};

// Sends `request` and waits for its answer. A kiss that is not authenticated counts only when nothing better
// comes until the deadline (RFC 8915 section 5.7). `session` and `kernels` as in nts::read_answer; all
// borrowed until it returns.
[[nodiscard]] boost::asio::awaitable<NtpExchange> exchange_ntp(boost::asio::ip::udp::endpoint server,
                                                               const nts::ClientRequest& request,
                                                               nts::ClientSession* session,
                                                               const nts::AeadKernels* kernels,
                                                               std::chrono::milliseconds deadline);

}  // namespace control
