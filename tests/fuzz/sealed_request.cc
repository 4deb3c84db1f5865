// Authentic requests: the octets are signed here, so that mutants get behind the tag, to the encrypted fields
// and the answer. Flags: 1 leaves the tag, 2 leaves the cookie as the fuzzer wrote them.
#include <algorithm>

#include "nts/cookie.h"
#include "tests/fuzz/serving.h"
#include "tests/nts/aead_session.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

constexpr std::uint8_t leave_tag = 1;
constexpr std::uint8_t leave_cookie = 2;

void run(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  Octets packet = reader.rest();
  const nts::Request found = nts::read_request(packet);
  const nts::AeadRow aead = nts::aead_of_cookie(found.cookie_bytes);
  const tests::AeadSession session(aead == nts::AeadRow::none ? nts::AeadRow::siv_256 : aead);
  const bool mends_cookie =
      (flags & leave_cookie) == 0 && found.verdict == nts::Verdict::answer_nts && aead != nts::AeadRow::none;
  if (mends_cookie) {
    const Octets cookie = session.cookie(packet[found.cookie_offset]);
    std::copy(cookie.begin(), cookie.end(), packet.begin() + found.cookie_offset);
  }
  if ((flags & leave_tag) == 0) seal_request(packet, session);
  const Served served = serve(packet);
  const bool has_a_right_nonce =
      session.aead_of().takes_any_nonce || found.nonce_bytes == session.aead_of().nonce_bytes;
  if (mends_cookie && (flags & leave_tag) == 0 && has_a_right_nonce) {
    const nts::Verdict verdict = served.request.verdict;
    require(verdict == nts::Verdict::answer_nts || verdict == nts::Verdict::drop_encrypted ||
                verdict == nts::Verdict::drop_placeholder,
            "an authentic request is answered unless its encrypted fields are malformed");
  }
}

std::vector<Octets> seeds() {
  const tests::SessionKey c2s = tests::key_of(0xc2);
  const auto start = [] { return tests::RequestBuilder().unique_identifier().cookie(tests::usual_cookie()); };
  // Encrypted fields, as they stand before they are sealed: a placeholder, and one that nobody knows.
  Octets inner(4 + 100 + 4, 0);
  inner[0] = 0x03, inner[1] = 0x04, inner[3] = 104;
  inner[104] = 0x20, inner[105] = 0x05, inner[107] = 4;
  Octets with_inner = start().authenticator(c2s, inner).octets();
  std::copy(inner.begin(), inner.end(), with_inner.end() - static_cast<std::ptrdiff_t>(inner.size()));
  // The same for the field of nts/mono_root.h, here in the clear and encrypted.
  Octets question(28, 0);
  question[0] = 0xf3, question[1] = 0x23, question[3] = 28;
  question[4] = 0xf5, question[5] = 0xbe, question[6] = 0xdd, question[7] = 0x9a;
  Octets asking = tests::RequestBuilder()
                      .field(0xf323, std::span(question).subspan(4))
                      .unique_identifier()
                      .cookie(tests::usual_cookie())
                      .authenticator(c2s, question)
                      .octets();
  std::copy(question.begin(), question.end(), asking.end() - static_cast<std::ptrdiff_t>(question.size()));
  std::vector<Octets> all = {
      with_flags(0, asking),
      with_flags(0, tests::nts_request()),
      with_flags(0, tests::nts_request(7)),
      with_flags(0, with_inner),
      with_flags(0, start().authenticator(c2s, {}, 24, 8).field(0x0204, Octets(100, 9)).octets()),
      with_flags(leave_tag, tests::nts_request(1)),
      with_flags(leave_cookie, tests::nts_request(1))};
  for (const tests::AeadSession& session : tests::all_sessions()) {
    tests::RequestBuilder builder;
    builder.unique_identifier().cookie(session.cookie());
    session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes, inner);
    all.push_back(with_flags(0, session.request(2)));
    all.push_back(with_flags(0, builder.octets()));
  }
  return all;
}

const Registration registration({"sealed_request", run, seeds});

}  // namespace
}  // namespace fuzz
