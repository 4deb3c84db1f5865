// One NTS-KE conversation as octets in and octets out: TLS, the client's records, the keeper's cookies, our
// reply (RFC 8915 section 4). No socket, no clock: the server above owns both.
//
// The order of calls: receive() until wants_cookies(), then finish() with what the keeper sealed, or with
// none; or refuse() when the deadline passes. Output is to be sent after every call. is_done() says "send and
// close".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/ke_limits.h"
#include "control/messages.h"
#include "control/tls.h"
#include "nts/ke_exchange.h"

namespace control {

// How a conversation ended: each one is a counter.
enum class KeOutcome : std::uint8_t {
  open,
  served,               // cookies handed out
  no_common_algorithm,  // answered with an empty list
  error_unrecognised,   // error 0
  error_bad_request,    // error 1
  error_internal,       // error 2
  handshake_failed,     // no TLS 1.3, no ntske/1, or no TLS at all
  disconnected,         // the client left before an answer
  timeout,              // the deadline passed
};

class KeSession {
 public:
  // `context` and `policy` outlive the session.
  KeSession(const TlsContext& context, const nts::ke::Policy& policy) : context_(context), policy_(policy) {}
  ~KeSession();
  KeSession(const KeSession&) = delete;
  KeSession& operator=(const KeSession&) = delete;

  // Octets from the client. The TLS object is made at the first one.
  void receive(std::span<const std::uint8_t> octets);
  // The client closed its side of the TCP connection.
  void receive_end();

  // The request is whole and good: ask the keeper with request().
  [[nodiscard]] bool wants_cookies() const noexcept { return wants_cookies_; }
  // Session keys for the keeper; filled once wants_cookies(). Wiped by finish().
  [[nodiscard]] const SealRequest& request() const noexcept { return request_; }
  // The keeper's answer; without a good one the client gets error 2.
  void finish(const std::optional<SealReply>& reply);

  // The deadline passed. If TLS is up and nothing was answered yet: error 1 (P05), or error 2 if it was the
  // keeper that we waited for. Else silence.
  void refuse();

  [[nodiscard]] std::vector<std::uint8_t> take_output();
  // Nothing more will come: send what take_output() gives and close.
  [[nodiscard]] bool is_done() const noexcept { return outcome_ != KeOutcome::open; }
  [[nodiscard]] KeOutcome outcome() const noexcept { return outcome_; }
  [[nodiscard]] KePhase phase() const noexcept;
  // For the log when the handshake failed.
  [[nodiscard]] std::string fault() const { return tls_ ? tls_->fault() : std::string(); }

 private:
  void answer(std::span<const std::uint8_t> records, KeOutcome outcome);
  void answer_error(nts::ke::ErrorCode code, KeOutcome outcome);
  void judge();
  void receive_too_much();
  bool export_keys(std::uint16_t aead);

  const TlsContext& context_;
  const nts::ke::Policy& policy_;
  std::optional<TlsConnection> tls_;
  nts::ke::Message message_;
  nts::ke::Decision decision_;
  SealRequest request_{};
  std::size_t received_bytes_ = 0;
  bool has_spoken_ = false;  // we have answered a ClientHello
  bool wants_cookies_ = false;
  KeOutcome outcome_ = KeOutcome::open;
};

}  // namespace control
