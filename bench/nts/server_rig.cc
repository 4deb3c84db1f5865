#include "bench/nts/server_rig.h"

#include <cstring>
#include <stdexcept>

namespace bench {
namespace {

constexpr nts::NtpTime received{0xee000000'00000000};
constexpr nts::NtpTime departure{0xee000000'00010000};

}  // namespace

ServerRig::ServerRig(const nts::siv::Kernels& tier)
    : keys_(tier), random_(tier), server_({tier, nts::gcm_siv::choose_tier()}, random_) {
  for (std::size_t client = 0; client < clients; ++client) {
    for (const Load load : {Load::plain, Load::nts, Load::nts_aead30}) {
      requests_[static_cast<std::size_t>(load)].push_back(request_of(load, client));
    }
  }
  keys_.load(tests::make_ring({{tests::usual_key_id, nts::KeyState::current}}));
  clock_.leap = 0;
  clock_.stratum = 1;
  clock_.reference = received;
}

void ServerRig::lay_out(Load load) {
  const auto& requests = requests_[static_cast<std::size_t>(load)];
  for (std::size_t i = 0; i < buffers; ++i) {
    const tests::Octets& request = requests[i % requests.size()];
    std::memcpy(octets_.data() + i * stride_bytes, request.data(), request.size());
  }
}

void ServerRig::serve(Load load, std::uint32_t burst, std::vector<double>& cycles_per_request) {
  const nts::Verdict expected = load == Load::plain ? nts::Verdict::answer_plain : nts::Verdict::answer_nts;
  const auto request_bytes = static_cast<std::uint16_t>(requests_[static_cast<std::size_t>(load)][0].size());
  lay_out(load);
  nts::Batch& batch = *batch_;
  for (std::size_t done = 0; done < buffers; done += burst) {
    batch.count = burst;
    for (std::uint32_t row = 0; row < burst; ++row) {
      batch.packet[row] = octets_.data() + (done + row) * stride_bytes;
      batch.packet_bytes[row] = request_bytes;
      batch.received[row] = received;
    }
    watch_.start();
    server_.open_requests(batch, keys_, nts::Policy{});
    server_.prepare_answers(batch, keys_, clock_);
    server_.seal_answers(batch, departure);
    cycles_per_request.push_back(watch_.stop() / burst);
    for (std::uint32_t row = 0; row < burst; ++row) {
      if (batch.request[row].verdict != expected || batch.answer_bytes[row] == 0) {
        throw std::runtime_error("the packet core did not answer every request of the benchmark");
      }
    }
  }
}

}  // namespace bench
