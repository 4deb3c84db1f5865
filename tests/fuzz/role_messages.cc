// Any packet from another role: framed, read and answered as the keeper, ke and admin do.
#include <algorithm>
#include <array>
#include <cstring>
#include <sys/socket.h>

#include "control/cookie_sealer.h"
#include "control/role_socket.h"
#include "control/status.h"
#include "control/upstream_desk.h"
#include "control/upstream_status.h"
#include "nts/cookie.h"
#include "tests/fuzz/serving.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

using control::MessageKind;

void run_seal(const control::ReceivedMessage& message) {
  control::SealRequest request;
  if (!message.read(MessageKind::seal_request, request)) return;
  const nts::Aead* const aead = nts::find_aead(request.aead);
  const bool is_ours = aead != nullptr && request.key_bytes == aead->key_bytes;
  const std::ptrdiff_t key_bytes = is_ours ? aead->key_bytes : 0;
  Octets keys(request.c2s.begin(), request.c2s.begin() + key_bytes);
  keys.insert(keys.end(), request.s2c.begin(), request.s2c.begin() + key_bytes);
  static control::CookieSealer sealer(*nts::siv::choose_tier());
  sealer.load(tests::make_ring({{7, nts::KeyState::current}}));
  control::SealReply reply{};
  sealer.seal(request, reply);
  const auto is_zero = [](std::uint8_t octet) { return octet == 0; };
  require(std::all_of(request.c2s.begin(), request.c2s.end(), is_zero) &&
              std::all_of(request.s2c.begin(), request.s2c.end(), is_zero),
          "session keys are wiped");
  require((reply.status == control::Status::ok) == is_ours,
          "only our AEADs with keys of their length are sealed");
  if (!is_ours) return;
  for (const auto& cookie : reply.cookies) {
    require(open_cookie(std::span(cookie).first(reply.cookie_bytes)) == keys, "each cookie holds the keys");
  }
}

// As the clock role and then admin and the operator's program read it.
void run_upstream(const control::ReceivedMessage& message) {
  static const control::Config config = [] {
    control::Config two;
    two.upstreams.resize(2);
    return two;
  }();
  constexpr std::uint64_t now = 1'000'000'000'000;
  control::UpstreamReport report;
  control::UpstreamListReply list{};
  if (message.read(MessageKind::upstream_report, report)) {
    control::UpstreamDesk desk(config);
    const bool is_taken = desk.take(report, now, 1'000'000'000);
    require(is_taken || !desk.panel().member(0).has_news, "what is refused leaves nothing");
    desk.fill(list, hwclock::ClockGuess{now, 1'800'000'000'000'000'000, 1.0});
    static_cast<void>(control::upstreams_text(control::upstream_report(config, &list)));
  }
  if (!message.read(MessageKind::upstream_list_reply, list)) return;
  static_cast<void>(control::upstreams_text(control::upstream_report(config, &list)));
  static_cast<void>(control::upstream_summary(config, &list).dump());
}

void run(Input input) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0,
          "a socket pair");
  control::RoleConnection from{control::Descriptor(ends[0])};
  control::RoleConnection to{control::Descriptor(ends[1])};
  if (input.empty() || !from.send_octets(input)) return;
  control::ReceivedMessage message;
  const control::Received received = to.receive(message);
  std::uint32_t magic = 0;
  if (input.size() >= sizeof magic) std::memcpy(&magic, input.data(), sizeof magic);
  const bool is_framed = input.size() >= sizeof(control::MessageHeader) &&
                         input.size() <= control::ReceivedMessage::bytes_max &&
                         magic == control::message_magic;
  require(received == (is_framed ? control::Received::message : control::Received::bad),
          "framing is checked");
  if (!is_framed) return;

  run_seal(message);
  run_upstream(message);
  control::KeyListReply keys;
  if (message.read(MessageKind::key_list_reply, keys)) {
    static_cast<void>(control::keys_status(&keys).dump());
    const nlohmann::json list = control::key_list(keys);
    require(list["keys"].size() <= nts::ring_keys_max, "no more keys than a ring has");
    static_cast<void>(list.dump());
  }
  control::KeCountersReply counters;
  if (message.read(MessageKind::ke_counters_reply, counters)) {
    static_cast<void>(control::ke_status(4460, {counters.counters, std::nullopt}).dump());
    static_cast<void>(control::ke_counters({counters.counters, counters.counters}).dump());
  }
}

template <class Message>
Octets octets_of(Message message, MessageKind kind) {
  message.header = {control::message_magic, kind, 1};
  Octets octets(sizeof message);
  std::memcpy(octets.data(), &message, sizeof message);
  return octets;
}

std::vector<Octets> seeds() {
  control::SealRequest seal{};
  seal.aead = 15;
  seal.key_bytes = 32;
  seal.c2s.fill(0xc2);
  seal.s2c.fill(0x52);
  control::KeyListReply keys{};
  keys.count = 2;
  keys.keys[0] = {7, nts::KeyState::current, 1};
  keys.keys[1] = {8, nts::KeyState::accepting, 2};
  keys.alarm = 1;
  keys.alarm_text.fill('a');
  control::UpstreamReport upstream{};
  upstream.source_index = 1;
  upstream.source_count = 2;
  upstream.has_news = upstream.authenticated = 1;
  upstream.stratum = 2;
  upstream.utc_ns = 1'800'000'000'000'000'000;
  upstream.tick = upstream.newest_tick = 999'000'000'000;
  return {octets_of(upstream, MessageKind::upstream_report),
          octets_of(control::UpstreamListReply{}, MessageKind::upstream_list_reply),
          octets_of(seal, MessageKind::seal_request),
          octets_of(keys, MessageKind::key_list_reply),
          octets_of(control::KeCountersReply{}, MessageKind::ke_counters_reply),
          octets_of(control::EmptyRequest{}, MessageKind::rotate_request)};
}

const Registration registration({"role_messages", run, seeds});

}  // namespace
}  // namespace fuzz
