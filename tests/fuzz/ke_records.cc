// NTS-KE records, as a server reads a client's and as a client reads a server's. Whatever we decide, our
// reply is a whole message that our own client understands.
#include "nts/ke_exchange.h"
#include "nts/ke_record.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

using nts::ke::Message;

const std::vector<std::uint16_t> aeads = {15};

Message message_of(std::span<const std::uint8_t> octets) {
  Message message;
  message.append(octets);
  return message;
}

void require_reply(const nts::ke::Decision& decision) {
  const std::vector<Octets> cookies(decision.wants_cookies() ? 8 : 0, Octets(100, 0xc0));
  const Message reply = message_of(decision.error ? nts::ke::write_error(*decision.error)
                                                  : nts::ke::write_reply(decision, cookies));
  require(reply.state() == Message::State::complete, "our reply is a whole message");
  const nts::ke::Reply seen = nts::ke::read_reply(reply, aeads);
  require(seen.fault.empty() == decision.wants_cookies(), "a reply with cookies is one that can be used");
  if (decision.error) require(seen.error == static_cast<std::uint16_t>(*decision.error), "the error arrives");
  if (!decision.wants_cookies()) return;
  require(seen.cookies == cookies && seen.aead == *decision.aead, "cookies and AEAD arrive");
  require(seen.ntp_server == decision.ntp_server && seen.ntp_port == decision.ntp_port,
          "so does where to ask");
}

void run(Input input) {
  const Message message = message_of(input);
  std::size_t bytes = 0;
  for (const nts::ke::Record& record : message.records()) bytes += 4 + record.body.size();
  require(bytes <= input.size() && bytes <= nts::ke::message_bytes_max, "records lie inside the message");
  const nts::ke::Policy policy{aeads, 4123, "ntp.example.org", {"a.example", "192.0.2.1"}};
  const nts::ke::Decision decision = nts::ke::read_request(message, policy);
  require(message.state() == Message::State::complete || decision.error.has_value(),
          "half a message is an error");
  require(!decision.aead || *decision.aead == 15, "only what we offer is chosen");
  require(decision.ntp_server.empty() || decision.ntp_server == policy.ntp_server ||
              decision.ntp_server == policy.ntp_servers_ours[0] ||
              decision.ntp_server == policy.ntp_servers_ours[1],
          "only our own servers are named");
  require_reply(decision);

  const nts::ke::Reply reply = nts::ke::read_reply(message, aeads);
  if (reply.fault.empty()) {
    require(reply.aead == 15 && !reply.cookies.empty() && !reply.error,
            "a good reply has what a client needs");
  }
}

std::vector<Octets> seeds() {
  using nts::ke::RecordType;
  Octets wish = nts::ke::write_client_request(aeads);
  wish.resize(wish.size() - 4);
  nts::ke::append_record(wish, RecordType::ntp_server, false,
                         Octets{'a', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'});
  nts::ke::append_record(wish, RecordType::ntp_port, false, std::vector<std::uint16_t>{123});
  nts::ke::append_record(wish, static_cast<RecordType>(0x4000), true, Octets{1, 2});
  nts::ke::append_record(wish, RecordType::end_of_message, true, Octets{});
  nts::ke::Decision decision;
  decision.has_common_protocol = true;
  decision.aead = std::uint16_t{15};
  decision.ntp_server = "ntp.example.org";
  decision.ntp_port = 4123;
  return {nts::ke::write_client_request(aeads),
          nts::ke::write_client_request(std::vector<std::uint16_t>{30, 16}), wish,
          nts::ke::write_reply(decision, std::vector<Octets>(2, Octets(8, 1))),
          nts::ke::write_error(nts::ke::ErrorCode::bad_request)};
}

const Registration registration({"ke_records", run, seeds});

}  // namespace
}  // namespace fuzz
