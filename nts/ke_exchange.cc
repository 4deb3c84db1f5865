#include "nts/ke_exchange.h"

#include <algorithm>

#include "nts/aead.h"
#include "nts/wire.h"

namespace nts::ke {
namespace {

constexpr std::uint16_t default_ntp_port = 123;
constexpr std::uint16_t gcm_siv_128 = aead_at(AeadRow::gcm_siv_128).number;
constexpr std::size_t server_name_bytes_max = 255;

Decision failed(ErrorCode code) {
  Decision decision;
  decision.error = code;
  return decision;
}

bool contains(const std::vector<std::uint16_t>& numbers, std::uint16_t wanted) {
  return std::find(numbers.begin(), numbers.end(), wanted) != numbers.end();
}

// RFC 8915 section 4.1.7: ASCII, no NUL, no blanks.
bool is_server_name(std::span<const std::uint8_t> body) {
  return !body.empty() && body.size() <= server_name_bytes_max &&
         std::all_of(body.begin(), body.end(),
                     [](std::uint8_t octet) { return octet > 0x20 && octet < 0x7f; });
}

// Every record we know, as often as it came.
struct Seen {
  const Record* next_protocol = nullptr;
  const Record* aead = nullptr;
  const Record* server = nullptr;
  const Record* port = nullptr;
  bool has_compliant_export = false;  // record 1024
  bool is_bad = false;                // error 1
  bool has_unknown_critical = false;  // error 0
};

void take_once(const Record*& place, const Record& record, bool& is_bad) {
  if (place != nullptr) is_bad = true;
  place = &record;
}

Seen sort_records(const std::vector<Record>& records) {
  Seen seen;
  for (const Record& record : records) {
    switch (static_cast<RecordType>(record.type)) {
      case RecordType::end_of_message:
        if (!record.body.empty()) seen.is_bad = true;
        break;
      case RecordType::next_protocol:
        take_once(seen.next_protocol, record, seen.is_bad);
        break;
      case RecordType::aead_algorithm:
        take_once(seen.aead, record, seen.is_bad);
        break;
      case RecordType::ntp_server:
        take_once(seen.server, record, seen.is_bad);
        break;
      case RecordType::ntp_port:
        take_once(seen.port, record, seen.is_bad);
        break;
      case RecordType::error:
      case RecordType::warning:
      case RecordType::new_cookie:
        seen.is_bad = true;  // no client sends these (P05)
        break;
      case RecordType::compliant_gcm_siv_export:
        seen.has_compliant_export = true;
        if (!record.body.empty()) seen.is_bad = true;
        break;
      default:
        if (record.is_critical) seen.has_unknown_critical = true;
    }
  }
  return seen;
}

std::uint8_t lower(char octet) {
  const auto value = static_cast<std::uint8_t>(octet);
  return value >= 'A' && value <= 'Z' ? static_cast<std::uint8_t>(value | 0x20) : value;
}

// Host names and the digits of IPv6 addresses are the same in either case (RFC 4343, RFC 4291).
bool is_same_name(const std::string& left, const std::string& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

// The client's wish counts when it names a server of ours; a port counts only together with it (P08, P09).
void choose_server(const Seen& seen, const Policy& policy, Decision& decision) {
  decision.ntp_port = policy.ntp_port;
  decision.ntp_server = policy.ntp_server;
  if (seen.server == nullptr) return;
  const std::string wish(seen.server->body.begin(), seen.server->body.end());
  for (const std::string& ours : policy.ntp_servers_ours) {
    if (is_same_name(ours, wish)) decision.ntp_server = ours;
  }
}

}  // namespace

Decision read_request(const Message& message, const Policy& policy) {
  if (message.state() != Message::State::complete) return failed(ErrorCode::bad_request);
  const std::vector<Record> records = message.records();
  const Seen seen = sort_records(records);
  // What we do not understand comes first: the rest may mean something else to who sent it.
  if (seen.has_unknown_critical) return failed(ErrorCode::unrecognised_critical_record);
  if (seen.is_bad || seen.next_protocol == nullptr) return failed(ErrorCode::bad_request);
  if (seen.server != nullptr && !is_server_name(seen.server->body)) return failed(ErrorCode::bad_request);
  if (seen.port != nullptr && seen.port->body.size() != 2) return failed(ErrorCode::bad_request);

  std::vector<std::uint16_t> protocols;
  if (!read_numbers(seen.next_protocol->body, protocols) || protocols.empty()) {
    return failed(ErrorCode::bad_request);
  }
  Decision decision;
  decision.has_common_protocol = contains(protocols, protocol_ntpv4);
  if (!decision.has_common_protocol) return decision;

  std::vector<std::uint16_t> aeads;
  if (seen.aead == nullptr || !read_numbers(seen.aead->body, aeads) || aeads.empty()) {
    return failed(ErrorCode::bad_request);
  }
  for (const std::uint16_t aead : policy.aeads) {
    if (!decision.aead && contains(aeads, aead)) decision.aead = aead;
  }
  if (decision.aead) {
    decision.echoes_compliant_export = *decision.aead == gcm_siv_128 && seen.has_compliant_export;
    decision.exporter_aead =
        exporter_aead_of(*decision.aead, decision.echoes_compliant_export || policy.is_gcm_siv_export_strict);
  }
  choose_server(seen, policy, decision);
  return decision;
}

std::vector<std::uint8_t> write_reply(const Decision& decision,
                                      std::span<const std::vector<std::uint8_t>> cookies) {
  using Numbers = std::vector<std::uint16_t>;
  std::vector<std::uint8_t> reply;
  const Numbers protocols = decision.has_common_protocol ? Numbers{protocol_ntpv4} : Numbers{};
  append_record(reply, RecordType::next_protocol, true, protocols);
  if (decision.has_common_protocol) {
    append_record(reply, RecordType::aead_algorithm, true,
                  decision.aead ? Numbers{*decision.aead} : Numbers{});
  }
  if (decision.wants_cookies()) {
    if (decision.echoes_compliant_export) {
      append_record(reply, RecordType::compliant_gcm_siv_export, false, std::span<const std::uint8_t>{});
    }
    if (decision.ntp_port != default_ntp_port) {
      append_record(reply, RecordType::ntp_port, true, Numbers{decision.ntp_port});
    }
    if (!decision.ntp_server.empty()) {
      const std::vector<std::uint8_t> name(decision.ntp_server.begin(), decision.ntp_server.end());
      append_record(reply, RecordType::ntp_server, true, name);
    }
    for (const std::vector<std::uint8_t>& cookie : cookies) {
      append_record(reply, RecordType::new_cookie, false, cookie);
    }
  }
  append_record(reply, RecordType::end_of_message, true, std::span<const std::uint8_t>{});
  return reply;
}

std::vector<std::uint8_t> write_error(ErrorCode code) {
  std::vector<std::uint8_t> reply;
  append_record(reply, RecordType::error, true, std::vector<std::uint16_t>{static_cast<std::uint16_t>(code)});
  append_record(reply, RecordType::end_of_message, true, std::span<const std::uint8_t>{});
  return reply;
}

std::uint16_t exporter_aead_of(std::uint16_t aead, bool is_compliant) noexcept {
  return aead == gcm_siv_128 && !is_compliant ? aead_at(AeadRow::siv_256).number : aead;
}

std::vector<std::uint8_t> exporter_context(std::uint16_t aead, Direction direction) {
  std::vector<std::uint8_t> context(5);
  store_u16(context.data(), protocol_ntpv4);
  store_u16(context.data() + 2, aead);
  context[4] = static_cast<std::uint8_t>(direction);
  return context;
}

std::uint32_t key_bytes_of(std::uint16_t aead) noexcept {
  const Aead* const known = find_aead(aead);
  return known == nullptr ? 0 : known->key_bytes;
}

std::vector<std::uint8_t> write_client_request(std::span<const std::uint16_t> aeads) {
  std::vector<std::uint8_t> request;
  append_record(request, RecordType::next_protocol, true, std::vector<std::uint16_t>{protocol_ntpv4});
  append_record(request, RecordType::aead_algorithm, true, aeads);
  if (std::find(aeads.begin(), aeads.end(), gcm_siv_128) != aeads.end()) {
    append_record(request, RecordType::compliant_gcm_siv_export, false, std::span<const std::uint8_t>{});
  }
  append_record(request, RecordType::end_of_message, true, std::span<const std::uint8_t>{});
  return request;
}

Reply read_reply(const Message& message, std::span<const std::uint16_t> offered_aeads) {
  Reply reply;
  const auto fault = [&reply](const char* what) {
    reply.fault = what;
    return reply;
  };
  if (message.state() != Message::State::complete) return fault("the reply does not end with End of Message");
  bool has_protocol = false;
  bool has_aead = false;
  std::vector<std::uint16_t> numbers;
  for (const Record& record : message.records()) {
    switch (static_cast<RecordType>(record.type)) {
      case RecordType::end_of_message:
        break;
      case RecordType::error:
        if (!read_numbers(record.body, numbers) || numbers.size() != 1)
          return fault("the Error record is malformed");
        reply.error = numbers[0];
        return fault("the server answered with an error");
      case RecordType::warning:
        return fault("the server sent a warning this client does not know");
      case RecordType::next_protocol:
        if (has_protocol || !read_numbers(record.body, numbers)) return fault("Next Protocol is malformed");
        if (!contains(numbers, protocol_ntpv4)) return fault("the server does not offer NTPv4");
        has_protocol = true;
        break;
      case RecordType::aead_algorithm:
        if (has_aead || !read_numbers(record.body, numbers)) return fault("the AEAD record is malformed");
        if (numbers.empty()) return fault("the server knows none of the AEAD algorithms offered");
        if (numbers.size() != 1 ||
            std::find(offered_aeads.begin(), offered_aeads.end(), numbers[0]) == offered_aeads.end()) {
          return fault("the server chose an AEAD algorithm that was not offered");
        }
        reply.aead = numbers[0];
        has_aead = true;
        break;
      case RecordType::compliant_gcm_siv_export:
        reply.has_compliant_export = true;
        break;
      case RecordType::new_cookie:
        if (record.body.empty()) return fault("a cookie is empty");
        reply.cookies.emplace_back(record.body.begin(), record.body.end());
        break;
      case RecordType::ntp_server:
        if (!is_server_name(record.body)) return fault("the Server record is malformed");
        reply.ntp_server.assign(record.body.begin(), record.body.end());
        break;
      case RecordType::ntp_port:
        if (!read_numbers(record.body, numbers) || numbers.size() != 1)
          return fault("the Port record is malformed");
        reply.ntp_port = numbers[0];
        break;
      default:
        if (record.is_critical) return fault("the reply holds a critical record this client does not know");
    }
  }
  if (!has_protocol) return fault("Next Protocol is missing");
  if (!has_aead) return fault("the AEAD record is missing");
  if (reply.cookies.empty()) return fault("the reply holds no cookie");
  return reply;
}

}  // namespace nts::ke
