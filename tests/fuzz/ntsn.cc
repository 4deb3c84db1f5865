// The way to the NTSN kiss: well-formed requests whose cookie or tag is wrong, with identifiers and fields of
// every length. I1 is tightest here, because the kiss needs no key.
// Octets: which fault, identifier / 4, cookie / 4, placeholders, ciphertext / 4, additional padding / 4, key
// id, then octets for identifier and cookie.
#include "tests/fuzz/serving.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

void run(Input input) {
  Reader reader(input);
  const bool has_good_cookie = (reader.octet() & 1) != 0;
  const std::size_t identifier_bytes = 32 + std::size_t{reader.octet()} * 4;
  const std::size_t cookie_bytes = 12 + std::size_t{reader.octet()} * 4;
  const std::size_t placeholders = reader.octet() % 8;
  const std::size_t ciphertext_bytes = std::size_t{reader.octet()} * 4;
  const std::size_t extra_bytes = std::size_t{reader.octet()} * 4;
  const std::uint8_t key_id = reader.octet();
  Octets identifier = reader.take(identifier_bytes);
  identifier.resize(identifier_bytes, 0x80);
  Octets cookie = reader.take(cookie_bytes);
  cookie.resize(cookie_bytes, 0x11);
  cookie[0] = cookie[1] = cookie[2] = 0, cookie[3] = key_id;
  if (has_good_cookie) cookie = tests::usual_cookie();
  const Octets packet = tests::RequestBuilder()
                            .field(0x0104, identifier)
                            .cookie(cookie)
                            .placeholders(placeholders, cookie.size())
                            .authenticator(tests::key_of(0xbd), Octets(ciphertext_bytes, 3), 16, extra_bytes)
                            .octets();
  const Served served = serve(packet);
  const nts::Verdict verdict = served.request.verdict;
  require(has_good_cookie ? verdict == nts::Verdict::nak_authenticator
                          : verdict >= nts::Verdict::nak_key_unknown && verdict <= nts::Verdict::nak_cookie,
          "the kiss names what was wrong");
  require(served.answer.size() == 48 + 4 + identifier_bytes,
          "the kiss holds the identifier whatever its length");
}

std::vector<Octets> seeds() {
  return {{0, 0, 22, 0, 0, 0, 7},       {1, 0, 22, 7, 0, 0, 7},  {0, 1, 22, 1, 0, 0, 5},
          {0, 8, 0, 0, 0, 0, 9},        {0, 255, 3, 0, 4, 1, 7}, {1, 3, 22, 0, 26, 0, 7, 1},
          {0, 0, 255, 0, 0, 0, 6, 1, 2}};
}

const Registration registration({"ntsn", run, seeds});

}  // namespace
}  // namespace fuzz
