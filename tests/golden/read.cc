// Prints what our readers find in each frame of a capture, a line a frame: the other half of
// differential_test.py, which asks scapy the same.
//
//   golden-read IN.pcap
//
// "VERDICT" of a frame that is no request; else "request IP_OFFSET PAYLOAD_OFFSET PAYLOAD_BYTES VERSION
// VERDICT" and of an NTS request "COOKIES_WANTED" and offset and length of identifier, cookie, nonce and
// sealed text, and the authenticator's offset.
#include <exception>
#include <iostream>

#include "dataplane/frame.h"
#include "nts/request.h"
#include "tests/support/capture_file.h"

namespace {

dataplane::Local served() {
  dataplane::Local local;
  const std::array addresses = {tests::address_of(tests::server_ipv4), tests::address_of(tests::server_ipv6)};
  local.addresses.assign(addresses);
  local.ntp_port = 123;
  return local;
}

void print(const tests::Octets& frame) {
  static const dataplane::Local local = served();
  static const dataplane::MacAddress ours({0x02, 0x70, 0x63, 0x61, 0x70, 0x00});  // world.py
  dataplane::Envelope envelope;
  dataplane::unwrap(frame, local, ours, dataplane::ReceivedChecksum::unknown, envelope);
  if (!envelope.is_request) {
    std::cout << shm::frame_verdict_names[static_cast<std::size_t>(envelope.verdict)] << '\n';
    return;
  }
  const nts::Request request =
      nts::read_request(std::span(frame).subspan(envelope.payload_offset, envelope.payload_bytes));
  std::cout << "request " << int{envelope.ip_offset} << ' ' << envelope.payload_offset << ' '
            << envelope.payload_bytes << ' ' << int{request.version} << ' '
            << nts::verdict_names[static_cast<std::size_t>(request.verdict)];
  if (request.verdict == nts::Verdict::answer_nts) {
    for (const unsigned number :
         {unsigned{request.cookies_wanted}, unsigned{request.unique_identifier_offset},
          unsigned{request.unique_identifier_bytes}, unsigned{request.cookie_offset},
          unsigned{request.cookie_bytes}, unsigned{request.nonce_offset}, unsigned{request.nonce_bytes},
          unsigned{request.sealed_offset}, unsigned{request.sealed_bytes},
          unsigned{request.authenticator_offset}}) {
      std::cout << ' ' << number;
    }
  }
  std::cout << '\n';
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "golden-read IN.pcap\n";
    return 2;
  }
  try {
    for (const tests::Octets& frame : tests::read_capture(words[1])) print(frame);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
