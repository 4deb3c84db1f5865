#include "tests/invariants/mutator.h"

#include <algorithm>

#include "tests/fuzz/frame_promises.h"
#include "tests/support/packet_builder.h"

namespace tests {
namespace {

constexpr std::size_t frame_bytes_max = 1700;  // more than a request may have, less than a buffer
constexpr std::array<std::uint8_t, 8> edges = {0x00, 0x01, 0x10, 0x3f, 0x7f, 0x80, 0xfe, 0xff};
// Lengths of fields, ciphertexts and packets are near these.
constexpr std::array<unsigned, 12> numbers = {0, 1, 4, 15, 16, 20, 28, 36, 104, 1472, 0x7fff, 0xffff};

template <std::size_t Count, typename Value>
Value one_of(const std::array<Value, Count>& values, Chance& chance) {
  return values[chance.below(Count)];
}

auto at(const Octets& octets, std::size_t offset) {
  return octets.begin() + static_cast<std::ptrdiff_t>(offset);
}

}  // namespace

Mutator::Mutator(std::vector<Octets> corpus, bool mends)
    : corpus_(std::move(corpus)), sessions_(all_sessions()), mends_(mends) {
  for (const AeadSession& session : sessions_) {
    std::vector<Octets>& cookies = cookies_.emplace_back();
    for (int fill = 0; fill < 16; ++fill)
      cookies.push_back(session.cookie(static_cast<std::uint8_t>(fill * 11)));
  }
}

Octets Mutator::noise(Chance& chance) const {
  Octets frame(chance.below(frame_bytes_max));
  chance.fill(frame);
  return frame;
}

Octets Mutator::make(Chance& chance) const {
  if (chance.one_in(64)) return noise(chance);
  Octets frame = corpus_[chance.below(corpus_.size())];
  for (std::size_t changes = chance.below(5); changes > 0; --changes) change(frame, chance);
  if (frame.size() > frame_bytes_max) frame.resize(frame_bytes_max);
  if (mends_ && !chance.one_in(8)) mend(frame, chance);
  return frame;
}

void Mutator::change(Octets& frame, Chance& chance) const {
  if (frame.empty()) return;
  const std::size_t offset = chance.below(frame.size());
  switch (chance.below(8)) {
    case 0:
      frame[offset] ^= static_cast<std::uint8_t>(1 << chance.below(8));
      break;
    case 1:
      frame[offset] = one_of(edges, chance);
      break;
    case 2:
      frame[offset] = static_cast<std::uint8_t>(chance.word());
      break;
    case 3:  // a number of 16 bits, where field headers and lengths stand
      if (frame.size() >= 44) {
        const std::size_t even = std::min(offset / 2 * 2, frame.size() - 2);
        fuzz::store16(&frame[even], one_of(numbers, chance));
      }
      break;
    case 4:
      frame.resize(offset);
      break;
    case 5:
      frame.resize(frame.size() + chance.below(300), one_of(edges, chance));
      break;
    case 6: {  // a stretch a second time, in steps of four as fields are long
      const std::size_t bytes = std::min(frame.size() - offset, 4 * chance.below(30));
      const Octets again(at(frame, offset), at(frame, offset + bytes));
      frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(offset), again.begin(), again.end());
      break;
    }
    default: {  // the end of another frame from here on
      const Octets& other = corpus_[chance.below(corpus_.size())];
      if (other.size() <= offset) break;
      frame.resize(offset);
      frame.insert(frame.end(), at(other, offset), other.end());
      break;
    }
  }
}

void Mutator::mend(Octets& frame, Chance& chance) const {
  const std::size_t ip = fuzz::ip_offset_of(frame);
  if (ip == 0) return;
  const bool is_ipv6 = frame[ip - 2] == 0x86;
  const std::size_t udp = ip + (is_ipv6 ? 40 : 20);
  if (frame.size() < udp + 8) return;
  if (!chance.one_in(4)) {  // as a sender who means it: lengths that fit
    fuzz::store16(&frame[ip + (is_ipv6 ? 4 : 2)],
                  static_cast<unsigned>(is_ipv6 ? frame.size() - udp : frame.size() - ip));
    fuzz::store16(&frame[udp + 4], static_cast<unsigned>(frame.size() - udp));
  }
  if (!chance.one_in(4)) seal(frame, udp + 8, chance);
  fuzz::mend_checksums(frame);
}

void Mutator::seal(Octets& frame, std::size_t payload_offset, Chance& chance) const {
  const std::span<std::uint8_t> payload = std::span(frame).subspan(payload_offset);
  const nts::Request found = nts::read_request(payload);
  if (found.authenticator_offset == 0) return;
  const nts::AeadRow aead = nts::aead_of_cookie(found.cookie_bytes);
  const std::size_t own = aead == nts::AeadRow::none ? 0 : static_cast<std::size_t>(aead);
  if (aead != nts::AeadRow::none && !chance.one_in(4)) {
    const Octets& cookie = cookies_[own][chance.below(cookies_[own].size())];
    std::copy(cookie.begin(), cookie.end(), payload.begin() + found.cookie_offset);
  }
  // Now and then by a client who takes his cookie for one of another AEAD.
  const AeadSession& session = sessions_[chance.one_in(16) ? chance.below(sessions_.size()) : own];
  const std::size_t text_offset =
      found.sealed_offset + (session.aead_of().is_tag_first ? std::size_t{nts::aead_tag_bytes} : 0);
  const auto nonce = payload.subspan(found.nonce_offset, found.nonce_bytes);
  const auto text = payload.subspan(text_offset, found.sealed_bytes - nts::aead_tag_bytes);
  const Octets sealed = session.seal(session.c2s, payload.first(found.authenticator_offset),
                                     Octets(nonce.begin(), nonce.end()), Octets(text.begin(), text.end()));
  std::copy(sealed.begin(), sealed.end(), payload.begin() + found.sealed_offset);
}

}  // namespace tests
