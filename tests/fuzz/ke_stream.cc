// The same NTS-KE octets in one piece and in chunks of every size come to the same message (P04).
// Up to eight chunk lengths (16 bits each, used in turn), then the stream; each length also adds padding
// records, so that a small input reaches the cap on a message.
#include <algorithm>

#include "nts/ke_exchange.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

using nts::ke::Message;

void run(Input input) {
  Reader reader(input);
  const std::size_t padding_bytes = reader.number16() % 5000;
  std::vector<std::size_t> chunks(1 + reader.octet() % 8);
  for (std::size_t& bytes : chunks) bytes = 1 + reader.number16() % 600;
  Octets stream;
  if (padding_bytes != 0)
    nts::ke::append_record(stream, static_cast<nts::ke::RecordType>(0x3000), false, Octets(padding_bytes, 0));
  const Octets rest = reader.rest();
  stream.insert(stream.end(), rest.begin(), rest.end());

  Message whole;
  whole.append(stream);
  Message chopped;
  for (std::size_t at = 0, turn = 0; at < stream.size(); ++turn) {
    const std::size_t bytes = std::min(chunks[turn % chunks.size()], stream.size() - at);
    const Message::State before = chopped.state();
    const Message::State after = chopped.append(std::span(stream).subspan(at, bytes));
    require(before == Message::State::incomplete || after == before, "what has ended stays as it is");
    at += bytes;
  }
  require(whole.state() == chopped.state(), "chunks end as the whole does");
  const auto left = whole.records();
  const auto right = chopped.records();
  require(std::equal(left.begin(), left.end(), right.begin(), right.end(),
                     [](const nts::ke::Record& a, const nts::ke::Record& b) {
                       return a.type == b.type && a.is_critical == b.is_critical &&
                              std::equal(a.body.begin(), a.body.end(), b.body.begin(), b.body.end());
                     }),
          "chunks hold the records of the whole");
}

std::vector<Octets> seeds() {
  const Octets request = nts::ke::write_client_request(std::vector<std::uint16_t>{15, 16});
  const auto stream = [&](Octets start) {
    start.insert(start.end(), request.begin(), request.end());
    return start;
  };
  return {stream({0, 0, 0, 0, 0}), stream({0, 0, 1, 0, 2, 0, 6}), stream({0x0f, 0xe0, 0, 1, 0}),
          stream({0x0f, 0xf0, 0, 2, 0x57})};
}

const Registration registration({"ke_stream", run, seeds});

}  // namespace
}  // namespace fuzz
