#include "tests/invariants/packet_path.h"

#include "tests/support/packet_builder.h"

namespace tests {
namespace {

constexpr nts::NtpTime received{0xec0ffee0'12345678};
constexpr nts::NtpTime transmitted{0xec0ffee0'22345678};

}  // namespace

PacketPath::PacketPath(nts::RandomSource& random, const nts::siv::Kernels& tier)
    : keys_(tier), no_keys_(tier), server_(nts::all_kernels_beside(tier), random) {
  const std::array served = {address_of(server_ipv4), address_of(server_ipv6),
                             address_of(Ipv6{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
                             address_of(Ipv4{10, 123, 0, 1}),
                             address_of(Ipv6{0xfd, 0, 0x01, 0x23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
  local_.addresses.assign(served);
  local_.ntp_port = 123;
  using nts::KeyState;
  keys_.load(make_ring(
      {{5, KeyState::retired}, {6, KeyState::accepting}, {7, KeyState::current}, {8, KeyState::accepting}}));
  clock_.leap = 0;
  clock_.stratum = 1;
}

PacketPath::Outcome PacketPath::serve(std::span<Octets> frames, const nts::Policy& policy, bool has_keys,
                                      std::span<const nts::Treatment> treatment) {
  const dataplane::MacAddress ours(golden_mac);
  Outcome outcome;
  outcome.answered_under.fill(nts::AeadRow::none);
  std::array<dataplane::Envelope, nts::burst_max> envelope;
  std::array<std::size_t, nts::burst_max> frame_of{};
  batch_.count = 0;
  ++counters_.bursts;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    Octets& frame = frames[i];
    ++counters_.received_packets;
    counters_.received_octets += frame.size();
    dataplane::Envelope& found = envelope[batch_.count];
    dataplane::unwrap(frame, local_, ours, dataplane::ReceivedChecksum::unknown, found);
    if (!found.is_request) {
      counters_.count(found.verdict);
      frame.clear();
      continue;
    }
    outcome.payload_bytes[i] = found.payload_bytes;
    frame_of[batch_.count] = i;
    batch_.packet[batch_.count] = frame.data() + found.payload_offset;
    batch_.packet_bytes[batch_.count] = found.payload_bytes;
    batch_.received[batch_.count] = received;
    batch_.treatment[batch_.count] = treatment.empty() ? nts::Treatment::serve : treatment[i];
    ++batch_.count;
  }
  const nts::ExpandedKeyRing& keys = has_keys ? keys_ : no_keys_;
  server_.open_requests(batch_, keys, policy);
  server_.prepare_answers(batch_, keys, clock_);
  server_.seal_answers(batch_, transmitted);
  for (std::uint32_t row = 0; row < batch_.count; ++row) {
    counters_.count(batch_.request[row].verdict);
    Octets& frame = frames[frame_of[row]];
    const std::uint16_t answer_bytes = batch_.answer_bytes[row];
    if (answer_bytes == 0) {
      frame.clear();
      continue;
    }
    outcome.answer_bytes[frame_of[row]] = answer_bytes;
    if (batch_.request[row].verdict == nts::Verdict::answer_nts)
      outcome.answered_under[frame_of[row]] = nts::aead_of_cookie(batch_.request[row].cookie_bytes);
    const std::uint16_t frame_bytes =
        dataplane::wrap(frame.data(), envelope[row], answer_bytes, dataplane::SentChecksum::software);
    frame.resize(frame_bytes);
    ++counters_.sent_packets;
    counters_.sent_octets += frame_bytes;
  }
  return outcome;
}

}  // namespace tests
