// IPv6 header chains to our address, ending in a whole and right NTP request or not: only UDP straight behind
// the IPv6 header is served, and each other chain has its own verdict.
// The first octet is the first next-header value; the rest stands behind the IPv6 header.
#include "tests/fuzz/frame_promises.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::size_t chain_offset = 14 + 40;

// Where UDP stands behind hop-by-hop, routing, destination options and fragment headers; 0 if it never does.
std::size_t find_udp(const Octets& frame) {
  std::size_t at = chain_offset;
  for (std::uint8_t next = frame[14 + 6]; next != 17;) {
    if ((next != 0 && next != 43 && next != 44 && next != 60) || frame.size() < at + 8) return 0;
    const std::size_t bytes = next == 44 ? 8 : 8 * (std::size_t{frame[at + 1]} + 1);
    next = frame[at];
    if (bytes > frame.size() - at) return 0;
    at += bytes;
  }
  return at;
}

void run(Input input) {
  Reader reader(input);
  tests::FrameSpec spec;
  spec.is_ipv6 = true;
  spec.protocol = reader.octet();
  Octets frame = spec.build();
  frame.resize(chain_offset);
  const Octets chain = reader.rest();
  if (chain.size() > 1400) return;
  frame.insert(frame.end(), chain.begin(), chain.end());
  store16(&frame[14 + 4], static_cast<unsigned>(chain.size()));
  const std::size_t udp = find_udp(frame);
  if (udp != 0) mend_checksums(frame, udp);

  const dataplane::Envelope envelope = unwrap_and_check(frame, dataplane::ReceivedChecksum::unknown);
  if (spec.protocol == 17) return;
  require(!envelope.is_request, "what stands behind an extension header is not served");
  using shm::FrameVerdict;
  const bool is_fragment = spec.protocol == 44;
  require((envelope.verdict == FrameVerdict::drop_fragment) == is_fragment, "a fragment is counted as one");
  require(is_fragment || envelope.verdict == FrameVerdict::drop_ipv6_extension ||
              (envelope.verdict == FrameVerdict::pass_other && spec.protocol != 0 && spec.protocol != 43 &&
               spec.protocol != 60),
          "an extension header is counted as one, another transport is the kernel's");
}

std::vector<Octets> seeds() {
  tests::FrameSpec spec;
  spec.is_ipv6 = true;
  const Octets frame = spec.build();
  const Octets datagram(frame.begin() + chain_offset, frame.end());
  const auto chain = [&](std::uint8_t first, const Octets& headers) {
    Octets made = with_flags(first, headers);
    made.insert(made.end(), datagram.begin(), datagram.end());
    return made;
  };
  return {chain(17, {}),
          chain(0, {17, 0, 1, 4, 0, 0, 0, 0}),
          chain(60, {43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0}),
          chain(44, {17, 0, 0, 0, 1, 2, 3, 4}),
          chain(0, {44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 1, 2, 3, 4}),
          chain(58, {128, 0, 0, 0}),
          chain(59, {})};
}

const Registration registration({"ipv6_chain", run, seeds});

}  // namespace
}  // namespace fuzz
