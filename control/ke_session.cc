#include "control/ke_session.h"

#include "nts/secret.h"

namespace control {
namespace {

using nts::ke::Direction;
using nts::ke::ErrorCode;

KeOutcome outcome_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::unrecognised_critical_record:
      return KeOutcome::error_unrecognised;
    case ErrorCode::bad_request:
      return KeOutcome::error_bad_request;
    case ErrorCode::internal_server_error:
      return KeOutcome::error_internal;
  }
  return KeOutcome::error_internal;
}

}  // namespace

KeSession::~KeSession() { nts::wipe({reinterpret_cast<std::uint8_t*>(&request_), sizeof request_}); }

void KeSession::receive(std::span<const std::uint8_t> octets) {
  if (is_done() || wants_cookies_ || octets.empty()) return;  // one exchange: what else comes is not read
  received_bytes_ += octets.size();
  if (received_bytes_ > conversation_bytes_max) {
    receive_too_much();
    return;
  }
  if (!tls_) tls_.emplace(TlsConnection::accept(context_));
  std::vector<std::uint8_t> plaintext;
  const TlsConnection::State state = tls_->receive(octets, plaintext);
  if (state == TlsConnection::State::failed) {
    // Whatever came in front of it: nothing can be said to this client any more.
    outcome_ = KeOutcome::handshake_failed;
  } else if (!plaintext.empty() && message_.append(plaintext) != nts::ke::Message::State::incomplete) {
    judge();
  } else if (state == TlsConnection::State::ended) {
    // close_notify before End of Message: incomplete, and our side can still answer (TESTS.md D06).
    answer_error(ErrorCode::bad_request, KeOutcome::error_bad_request);
  }
}

void KeSession::receive_too_much() {
  if (tls_ && tls_->state() == TlsConnection::State::established) {
    answer_error(ErrorCode::bad_request, KeOutcome::error_bad_request);
  } else {
    outcome_ = KeOutcome::handshake_failed;
  }
}

void KeSession::receive_end() {
  if (is_done() || wants_cookies_) return;
  if (tls_ && tls_->state() == TlsConnection::State::established) {
    answer_error(ErrorCode::bad_request, KeOutcome::error_bad_request);
  } else {
    outcome_ = KeOutcome::disconnected;
  }
}

void KeSession::judge() {
  decision_ = nts::ke::read_request(message_, policy_);
  if (decision_.error) {
    answer_error(*decision_.error, outcome_of(*decision_.error));
  } else if (!decision_.wants_cookies()) {
    answer(nts::ke::write_reply(decision_, {}), KeOutcome::no_common_algorithm);
  } else if (!export_keys(*decision_.aead)) {
    answer_error(ErrorCode::internal_server_error, KeOutcome::error_internal);
  } else {
    wants_cookies_ = true;
  }
}

bool KeSession::export_keys(std::uint16_t aead) {
  const std::uint32_t key_bytes = nts::ke::key_bytes_of(aead);
  const std::uint16_t named = decision_.exporter_aead;
  if (key_bytes == 0 || key_bytes > session_key_bytes_max) return false;
  request_.header.magic = message_magic;
  request_.header.kind = MessageKind::seal_request;
  request_.aead = aead;
  request_.key_bytes = key_bytes;
  const auto export_one = [&](Direction direction, std::span<std::uint8_t> key) {
    return tls_->export_key(nts::ke::exporter_label, nts::ke::exporter_context(named, direction), key);
  };
  return export_one(Direction::client_to_server, std::span(request_.c2s).first(key_bytes)) &&
         export_one(Direction::server_to_client, std::span(request_.s2c).first(key_bytes));
}

void KeSession::finish(const std::optional<SealReply>& reply) {
  if (!wants_cookies_ || is_done()) return;
  wants_cookies_ = false;
  nts::wipe({reinterpret_cast<std::uint8_t*>(&request_), sizeof request_});
  if (!reply || reply->status != Status::ok || reply->cookie_bytes == 0 ||
      reply->cookie_bytes > cookie_bytes_max) {
    answer_error(ErrorCode::internal_server_error, KeOutcome::error_internal);
    return;
  }
  std::vector<std::vector<std::uint8_t>> cookies;
  for (const auto& cookie : reply->cookies)
    cookies.emplace_back(cookie.begin(), cookie.begin() + reply->cookie_bytes);
  answer(nts::ke::write_reply(decision_, cookies), KeOutcome::served);
}

void KeSession::refuse() {
  if (is_done()) return;
  if (wants_cookies_) {
    finish(std::nullopt);
  } else if (tls_ && tls_->state() == TlsConnection::State::established) {
    answer_error(ErrorCode::bad_request, KeOutcome::timeout);
  } else {
    outcome_ = KeOutcome::timeout;
  }
}

void KeSession::answer_error(ErrorCode code, KeOutcome outcome) {
  answer(nts::ke::write_error(code), outcome);
}

void KeSession::answer(std::span<const std::uint8_t> records, KeOutcome outcome) {
  tls_->send(records);  // one call, one TLS record: NTPsec reads no further
  tls_->close();
  outcome_ = outcome;
}

KePhase KeSession::phase() const noexcept {
  if (is_done()) return KePhase::farewell;
  if (tls_ && tls_->state() == TlsConnection::State::established) return KePhase::request;
  return has_spoken_ ? KePhase::finished : KePhase::hello;
}

std::vector<std::uint8_t> KeSession::take_output() {
  if (!tls_) return {};
  std::vector<std::uint8_t> output = tls_->take_output();
  has_spoken_ = has_spoken_ || !output.empty();
  return output;
}

}  // namespace control
