// Any octets as an Ethernet frame: what is taken for a request is one, and the answer made of it is sound and
// goes back where it came from. Flags: 1-3 what the port knows of the checksum, 4 leaves the checksums as the
// fuzzer wrote them, 8 offload; the second octet is how much of the payload is answered.
#include "dataplane/frame.h"

#include <algorithm>

#include "tests/fuzz/frame_promises.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::uint8_t leave_checksums = 4;
constexpr std::uint8_t offload = 8;

void run(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  const std::uint8_t answered = reader.octet();
  Octets frame = reader.rest();
  if ((flags & leave_checksums) == 0) mend_checksums(frame);
  const auto received = static_cast<dataplane::ReceivedChecksum>(flags & 3);
  const dataplane::Envelope envelope = unwrap_and_check(frame, received);
  if (!envelope.is_request) return;

  const Octets request = frame;
  const auto answer_bytes = static_cast<std::uint16_t>(envelope.payload_bytes * answered / 255);
  const bool is_offloaded = (flags & offload) != 0;
  const std::uint16_t bytes =
      dataplane::wrap(frame.data(), envelope, answer_bytes,
                      is_offloaded ? dataplane::SentChecksum::offload : dataplane::SentChecksum::software);
  require(bytes <= request.size(), "I1: a frame is never longer than its request's");
  require(std::equal(frame.begin(), frame.begin() + 6, request.begin() + 6) &&
              std::equal(frame.begin() + 6, frame.begin() + 12, request.begin()),
          "the answer goes to where the request came from");
  require(std::equal(frame.begin() + 12, frame.begin() + envelope.ip_offset, request.begin() + 12),
          "the tag is kept");
  frame.resize(bytes);
  require(is_offloaded || tests::is_sound(frame, envelope.ip_offset), "lengths and checksums are right");
}

std::vector<Octets> seeds() {
  tests::FrameSpec plain, tagged, twice, ipv6, options, fragment;
  tagged.tags = {0x0064};
  twice.tags = {0x0064, 0x0065};
  ipv6.is_ipv6 = true;
  ipv6.trailer = Octets(4, 0);
  fragment.fragment = 0x2000;
  Octets other = plain.build();
  other[13] = 6;  // ARP
  const auto frame = [](std::uint8_t flags, const Octets& octets) {
    return with_flags(flags, with_flags(255, octets));
  };
  return {frame(0, plain.build()),    frame(1, tagged.build()),
          frame(2, ipv6.build()),     frame(0, twice.build()),
          frame(0, fragment.build()), frame(offload, plain.build()),
          frame(7, plain.build()),    frame(0, other)};
}

const Registration registration({"frame", run, seeds});

}  // namespace
}  // namespace fuzz
