// Thousands of requests that a client might send, each with none, one or several things wrong with it, and
// the one outcome that RFC 8915 leaves (TESTS.md D18). The draft knows what is wrong; the reader must find
// out.
//
// Most go to the reader alone; some through a whole conversation, TLS included, in records of random lengths.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <random>

#include "control/ke_session.h"
#include "tests/control/loopback_server.h"

namespace {

using control::KeOutcome;
using control::KeSession;
using control::TlsConnection;
using control::TlsContext;
using nts::ke::ErrorCode;
using nts::ke::RecordType;
using tests::Octets;

struct Piece {
  std::uint16_t type;
  Octets body;
  bool is_critical;
};

// What is expected of a draft, by what was put into it.
struct Expectation {
  bool is_whole = true;  // ends, and within the cap
  bool has_unknown_critical = false;
  bool is_bad = false;
  bool has_common_protocol = true;
  bool is_aead_bad = false;  // matters only with a common protocol
  bool has_common_aead = true;

  [[nodiscard]] KeOutcome outcome() const {
    if (!is_whole) return KeOutcome::error_bad_request;
    if (has_unknown_critical) return KeOutcome::error_unrecognised;
    if (is_bad) return KeOutcome::error_bad_request;
    if (!has_common_protocol) return KeOutcome::no_common_algorithm;
    if (is_aead_bad) return KeOutcome::error_bad_request;
    return has_common_aead ? KeOutcome::served : KeOutcome::no_common_algorithm;
  }
};

class Mixer {
 public:
  explicit Mixer(unsigned seed) : random_(seed) {}

  struct Draft {
    Octets octets;
    Expectation expected;
    std::string defects;
  };

  Draft draw() {
    Draft draft;
    pieces_.clear();
    draw_protocols(draft.expected);
    draw_aeads(draft.expected);
    draw_wishes(draft.expected);
    draw_unknown();
    bool has_end = true;
    Octets end_body;
    // Two at most, and of different records: one may not mend the other.
    const unsigned first_defect = below(defects);
    const unsigned second_defect = below(defects);
    if (below(10) < 6) spoil(first_defect, draft, has_end, end_body);
    if (below(10) < 3 && record_of(second_defect) != record_of(first_defect)) {
      spoil(second_defect, draft, has_end, end_body);
    }
    std::shuffle(pieces_.begin(), pieces_.end(), random_);
    for (const Piece& piece : pieces_) {
      nts::ke::append_record(draft.octets, static_cast<RecordType>(piece.type), piece.is_critical,
                             piece.body);
    }
    if (has_end) nts::ke::append_record(draft.octets, RecordType::end_of_message, true, end_body);
    draft.expected.is_whole = has_end && draft.octets.size() <= nts::ke::message_bytes_max;
    if (has_end && below(5) == 0)
      draft.octets.resize(draft.octets.size() + below(40), 0x55);  // behind the end
    return draft;
  }

  unsigned below(unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_); }

 private:
  Octets noise(std::size_t bytes) {
    Octets octets(bytes);
    std::generate(octets.begin(), octets.end(), [this] { return static_cast<std::uint8_t>(below(256)); });
    return octets;
  }
  static Octets body_of(const std::vector<std::uint16_t>& numbers) {
    Octets body;
    for (const std::uint16_t number : numbers) {
      body.push_back(static_cast<std::uint8_t>(number >> 8));
      body.push_back(static_cast<std::uint8_t>(number));
    }
    return body;
  }
  void add(RecordType type, Octets body) {
    pieces_.push_back({static_cast<std::uint16_t>(type), std::move(body), below(2) == 0});
  }
  // Other numbers than `ours`, and in `share` of ten cases `ours` among them.
  std::vector<std::uint16_t> numbers(std::uint16_t ours, unsigned share, bool& has_ours) {
    std::vector<std::uint16_t> all;
    for (unsigned count = below(6); count > 0; --count) {
      all.push_back(static_cast<std::uint16_t>(ours + 1 + below(60'000)));
    }
    has_ours = below(10) < share;
    if (has_ours || all.empty()) all.push_back(ours);
    has_ours = std::find(all.begin(), all.end(), ours) != all.end();
    std::shuffle(all.begin(), all.end(), random_);
    return all;
  }
  void draw_protocols(Expectation& expected) {
    add(RecordType::next_protocol,
        body_of(numbers(nts::ke::protocol_ntpv4, 8, expected.has_common_protocol)));
  }
  void draw_aeads(Expectation& expected) {
    add(RecordType::aead_algorithm, body_of(numbers(15, 8, expected.has_common_aead)));
  }
  void draw_wishes(Expectation& expected) {
    if (below(3) == 0) add(RecordType::ntp_server, Octets(1 + below(255), 'a'));
    if (below(3) == 0) add(RecordType::ntp_port, noise(2));
    if (below(3) == 0) {
      const unsigned bytes = below(3);
      if (bytes != 0) expected.is_bad = true;  // the record has no body
      add(RecordType::compliant_gcm_siv_export, noise(bytes));
    }
  }
  void draw_unknown() {
    for (unsigned count = below(4); count > 0; --count) {
      pieces_.push_back({static_cast<std::uint16_t>(0x2000 + below(0x5000)), noise(below(500)), false});
    }
  }

  Piece& first(RecordType type) {
    return *std::find_if(pieces_.begin(), pieces_.end(),
                         [&](const Piece& piece) { return piece.type == static_cast<std::uint16_t>(type); });
  }
  void remove(RecordType type) {
    std::erase_if(pieces_,
                  [&](const Piece& piece) { return piece.type == static_cast<std::uint16_t>(type); });
  }

  static constexpr unsigned defects = 14;
  // Of the first eight the even ones are Next Protocol's and the odd ones the AEAD record's.
  static unsigned record_of(unsigned defect) { return defect < 8 ? defect % 2 : defect; }

  void spoil(unsigned defect, Draft& draft, bool& has_end, Octets& end_body) {
    Expectation& expected = draft.expected;
    draft.defects += " " + std::to_string(defect);
    switch (defect) {
      case 0:
        remove(RecordType::next_protocol);
        expected.is_bad = true;
        break;
      case 1:
        remove(RecordType::aead_algorithm);
        expected.is_aead_bad = true;
        break;
      case 2:
        add(RecordType::next_protocol, body_of({0}));
        expected.is_bad = true;
        break;
      case 3:
        add(RecordType::aead_algorithm, body_of({15}));
        expected.is_bad = true;
        break;
      case 4:
        first(RecordType::next_protocol).body.push_back(0);
        expected.is_bad = true;
        break;
      case 5:
        first(RecordType::aead_algorithm).body.pop_back();
        expected.is_aead_bad = true;
        break;
      case 6:
        first(RecordType::next_protocol).body.clear();
        expected.is_bad = true;
        break;
      case 7:
        first(RecordType::aead_algorithm).body.clear();
        expected.is_aead_bad = true;
        break;
      case 8:
        pieces_.push_back({static_cast<std::uint16_t>(0x2000 + below(0x5000)), noise(below(9)), true});
        expected.has_unknown_critical = true;
        break;
      case 9:
        add(std::array{RecordType::error, RecordType::warning, RecordType::new_cookie}[below(3)],
            noise(below(9)));
        expected.is_bad = true;
        break;
      case 10:
        end_body = noise(1 + below(5));
        expected.is_bad = true;
        break;
      case 11:
        has_end = false;
        break;
      case 12:
        pieces_.push_back({0x6fff, noise(nts::ke::message_bytes_max - below(8)), false});
        break;
      case 13:
        remove(RecordType::ntp_server);
        remove(RecordType::ntp_port);
        if (below(2) == 0) {
          add(RecordType::ntp_server,
              below(2) == 0 ? Octets(256, 'a') : Octets{'a', static_cast<std::uint8_t>(below(33))});
        } else {
          add(RecordType::ntp_port, noise(std::array{0U, 1U, 3U, 4U}[below(4)]));
        }
        expected.is_bad = true;
        break;
      default:
        break;
    }
  }
  std::mt19937 random_;
  std::vector<Piece> pieces_;
};

KeOutcome outcome_of(const nts::ke::Decision& decision) {
  if (!decision.error) return decision.wants_cookies() ? KeOutcome::served : KeOutcome::no_common_algorithm;
  return decision.error == ErrorCode::unrecognised_critical_record ? KeOutcome::error_unrecognised
                                                                   : KeOutcome::error_bad_request;
}

TEST(KeMix, D18_TenThousandRequestsComeToWhatIsWrongWithThem) {
  Mixer mixer(1);
  const nts::ke::Policy policy{.aeads = {15}, .ntp_port = 123, .ntp_server = {}, .ntp_servers_ours = {}};
  std::map<KeOutcome, int> seen;
  for (int i = 0; i < 10'000; ++i) {
    const Mixer::Draft draft = mixer.draw();
    nts::ke::Message message;
    message.append(draft.octets);
    const KeOutcome outcome = outcome_of(nts::ke::read_request(message, policy));
    ASSERT_EQ(outcome, draft.expected.outcome()) << "draft " << i << ", defects" << draft.defects;
    ++seen[outcome];
  }
  for (const KeOutcome outcome : {KeOutcome::served, KeOutcome::no_common_algorithm,
                                  KeOutcome::error_unrecognised, KeOutcome::error_bad_request}) {
    EXPECT_GT(seen[outcome], 500) << "the mix is one";
  }
}

// Random streams: a draft, changed again and again. What they come to is theirs; that they come to something,
// with every record inside the stream, and to an answer that can be read, is ours.
TEST(KeMix, D18_RandomStreamsAllComeToAnAnswer) {
  const char* wanted = std::getenv("NOONMARK_MUTATIONS");  // tests/fuzz/fuzz_test.py asks for 10^8
  const long streams = wanted == nullptr ? 1'000'000 : std::atol(wanted);
  constexpr long changes_to_one_draft = 1000;
  Mixer mixer(3);
  std::mt19937_64 random(4);
  const nts::ke::Policy policy{.aeads = {15}, .ntp_port = 123, .ntp_server = {}, .ntp_servers_ours = {}};
  std::array<long, 4> seen{};
  Octets stream;
  for (long i = 0; i < streams; ++i) {
    if (i % changes_to_one_draft == 0) stream = mixer.draw().octets;
    if (stream.empty()) continue;
    const Octets kept = i % 4 == 0 ? Octets{} : stream;  // every fourth change stays
    for (std::uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
      stream[random() % std::min<std::size_t>(stream.size(), 200)] = static_cast<std::uint8_t>(random());
    }
    nts::ke::Message message;
    const std::size_t cut = random() % (stream.size() + 1);
    message.append(std::span(stream).first(cut));
    message.append(std::span(stream).subspan(cut));
    std::size_t record_bytes = 0;
    for (const nts::ke::Record& record : message.records()) record_bytes += 4 + record.body.size();
    ASSERT_LE(record_bytes, std::min(stream.size(), nts::ke::message_bytes_max));
    const nts::ke::Decision decision = nts::ke::read_request(message, policy);
    ASSERT_TRUE(decision.error || message.state() == nts::ke::Message::State::complete);
    ++seen[decision.error ? static_cast<std::size_t>(*decision.error) : decision.wants_cookies() ? 2 : 3];
    if (!kept.empty()) stream = kept;
  }
  for (const long count : seen) EXPECT_GT(count, streams / 1000) << "all four ends are met";
}

// The client's plaintext of one whole conversation.
struct Heard {
  KeOutcome outcome;
  Octets octets;
  bool has_close_notify;
};

Heard converse(const TlsContext& server, const TlsContext& client_context, const Octets& request,
               Mixer& mixer) {
  const nts::ke::Policy policy{.aeads = {15}, .ntp_port = 123, .ntp_server = {}, .ntp_servers_ours = {}};
  KeSession session(server, policy);
  TlsConnection client = TlsConnection::connect(client_context, "time.test");
  Octets heard;
  const auto pump = [&] {
    for (Octets up = client.take_output(); !up.empty(); up = client.take_output()) {
      session.receive(up);
      client.receive(session.take_output(), heard);
    }
  };
  pump();
  for (std::size_t at = 0; at < request.size() && !session.is_done() && !session.wants_cookies();) {
    const std::size_t bytes = std::min<std::size_t>(1 + mixer.below(700), request.size() - at);
    client.send(std::span(request).subspan(at, bytes));
    at += bytes;
    if (mixer.below(2) == 0) pump();  // several records at once, or one
  }
  pump();
  if (session.wants_cookies()) {
    control::SealReply reply{};
    reply.status = control::Status::ok;
    reply.cookie_bytes = 100;
    session.finish(reply);
  } else {
    session.receive_end();
  }
  client.receive(session.take_output(), heard);
  return {session.outcome(), heard, client.state() == TlsConnection::State::ended};
}

TEST(KeMix, D18_D12_WholeConversationsEndTheSameWayAndSayWhy) {
  const tests::Certificates certificates;
  ASSERT_TRUE(certificates.made());
  const TlsContext server =
      TlsContext::for_server(certificates.file("server.pem"), certificates.file("key.pem"));
  const TlsContext client = TlsContext::for_client(certificates.file("ca.pem"));
  Mixer mixer(2);
  for (int i = 0; i < 300; ++i) {
    const Mixer::Draft draft = mixer.draw();
    const Heard heard = converse(server, client, draft.octets, mixer);
    const KeOutcome expected = draft.expected.outcome();
    ASSERT_EQ(heard.outcome, expected) << "draft " << i << ", defects" << draft.defects;
    ASSERT_TRUE(heard.has_close_notify);
    nts::ke::Message message;
    ASSERT_EQ(message.append(heard.octets), nts::ke::Message::State::complete);
    const nts::ke::Reply reply = nts::ke::read_reply(message, std::vector<std::uint16_t>{15});
    ASSERT_EQ(reply.fault.empty(), expected == KeOutcome::served);
    ASSERT_EQ(reply.cookies.size(), expected == KeOutcome::served ? 8U : 0U);
    ASSERT_EQ(reply.error.has_value(),
              expected == KeOutcome::error_unrecognised || expected == KeOutcome::error_bad_request);
  }
}

}  // namespace
