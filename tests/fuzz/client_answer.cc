// Any octets as the answer to a client's request: nothing unauthentic is believed, and the cookie jar changes
// only by authentic cookies. The answer is addressed and sealed here. Flags: 1 leaves the origin, 2 the
// identifier, 4 the seal as the fuzzer wrote them; 8 makes the request plain.
#include <algorithm>
#include <cstring>

#include "nts/client.h"
#include "nts/wire.h"
#include "tests/fuzz/target.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

constexpr std::uint8_t leave_origin = 1, leave_identifier = 2, leave_seal = 4, plain = 8;

class FixedRandom : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    std::fill(octets.begin(), octets.end(), std::uint8_t{0x42});
  }
};

// The field of `type` whose body has at least `bytes_min` octets: offset of its body and length; {0, 0}:
// none.
std::pair<std::size_t, std::size_t> find_field(const Octets& packet, unsigned type, std::size_t bytes_min) {
  for (std::size_t at = 48; at + 4 <= packet.size();) {
    const std::size_t bytes = nts::load_u16(&packet[at + 2]);
    if (bytes < 4 || bytes > packet.size() - at) break;
    if (nts::load_u16(&packet[at]) == type && bytes >= 4 + bytes_min) return {at + 4, bytes - 4};
    at += bytes;
  }
  return {0, 0};
}

// Seals the authenticator, taking what stands behind its tag as the plaintext. True when it did.
bool seal(Octets& packet, std::span<const std::uint8_t> s2c) {
  const auto [body, bytes] = find_field(packet, 0x0404, 4);
  if (body == 0) return false;
  const std::size_t nonce_bytes = nts::load_u16(&packet[body]);
  const std::size_t sealed_bytes = nts::load_u16(&packet[body + 2]);
  const std::size_t nonce_room = (nonce_bytes + 3) / 4 * 4;
  if (nonce_bytes == 0 || sealed_bytes < 16 || 4 + nonce_room + sealed_bytes > bytes) return false;
  const auto all = std::span<const std::uint8_t>(packet);
  const Octets sealed = tests::nettle_seal(s2c, all.first(body - 4), all.subspan(body + 4, nonce_bytes),
                                           all.subspan(body + 4 + nonce_room + 16, sealed_bytes - 16));
  std::copy(sealed.begin(), sealed.end(),
            packet.begin() + static_cast<std::ptrdiff_t>(body + 4 + nonce_room));
  return true;
}

void run(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  Octets packet = reader.rest();
  FixedRandom random;
  nts::ClientSession session;
  const tests::SessionKey s2c = tests::key_of(0x52);
  std::copy(s2c.begin(), s2c.end(), session.s2c.bytes().begin());
  for (std::uint8_t i = 0; i < 4; ++i) session.cookies.add(Octets(100, i));
  static const nts::AeadKernels tier = nts::all_kernels_beside(*nts::siv::choose_tier());
  const nts::ClientRequest request =
      (flags & plain) != 0 ? nts::make_plain_request(random) : nts::make_nts_request(session, tier, random);
  const std::uint32_t jar_before = session.cookies.count();

  if (packet.size() >= 48 && (flags & leave_origin) == 0) nts::store_u64(&packet[24], request.origin.units);
  const auto identifier = find_field(packet, 0x0104, request.unique_identifier.size());
  if (identifier.first != 0 && (flags & leave_identifier) == 0) {
    std::copy(request.unique_identifier.begin(), request.unique_identifier.end(),
              packet.begin() + static_cast<std::ptrdiff_t>(identifier.first));
  }
  const bool is_sealed = (flags & leave_seal) == 0 && seal(packet, s2c);

  const nts::Answer answer = nts::read_answer(packet, request, &session, &tier);
  require(answer.verdict < nts::AnswerVerdict::count, "every answer has a verdict");
  require(session.cookies.count() == jar_before + answer.cookies_received,
          "the jar grows by what is reported");
  require(!answer.authenticated || (is_sealed && request.authenticated), "only a sealed answer is authentic");
  require(answer.cookies_received == 0 || answer.authenticated, "only authentic cookies are kept");
  require(answer.verdict != nts::AnswerVerdict::good || answer.authenticated == request.authenticated,
          "a good answer to an NTS request is authentic");
  if (answer.verdict == nts::AnswerVerdict::good) {
    require(answer.stratum >= 1 && answer.stratum <= 15 && answer.leap != 3, "a good answer knows the time");
    require(answer.transmit.units != 0 && answer.receive.units != 0, "a good answer has its stamps");
  }
}

std::vector<Octets> seeds() {
  Octets answer = tests::plain_request(4, 4);
  answer[1] = 1;
  nts::store_u64(&answer[32], 0xe000000012345678);
  nts::store_u64(&answer[40], 0xe000000012345679);
  Octets kiss = answer;
  kiss[1] = 0;
  std::memcpy(&kiss[12], "NTSN", 4);
  const auto with_fields = [](const Octets& header, std::size_t cookies) {
    Octets inner;
    for (std::size_t i = 0; i < cookies; ++i) {
      inner.insert(inner.end(), {0x02, 0x04, 0, 104});
      inner.resize(inner.size() + 100, static_cast<std::uint8_t>(i));
    }
    Octets body = {0, 16, 0, 0};
    nts::store_u16(&body[2], static_cast<std::uint16_t>(16 + inner.size()));
    body.resize(4 + 16 + 16, 0x5a);
    body.insert(body.end(), inner.begin(), inner.end());
    Octets packet = header;
    const Octets fields = tests::RequestBuilder().unique_identifier().field(0x0404, body).octets();
    packet.insert(packet.end(), fields.begin() + 48, fields.end());
    return packet;
  };
  const Octets kiss_fields = tests::RequestBuilder().unique_identifier().octets();
  Octets bare_kiss = kiss;
  bare_kiss.insert(bare_kiss.end(), kiss_fields.begin() + 48, kiss_fields.end());
  return {with_flags(plain, answer),
          with_flags(0, with_fields(answer, 1)),
          with_flags(0, with_fields(answer, 8)),
          with_flags(leave_seal, with_fields(answer, 2)),
          with_flags(leave_origin, with_fields(answer, 1)),
          with_flags(leave_identifier, with_fields(answer, 1)),
          with_flags(0, bare_kiss)};
}

const Registration registration({"client_answer", run, seeds});

}  // namespace
}  // namespace fuzz
