// A client and the server it asks.
#pragma once

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "nts/client.h"
#include "nts/server.h"
#include "nts/wire.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace tests {

class SeededRandom : public nts::RandomSource {
 public:
  explicit SeededRandom(unsigned seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

// The server runs on nettle and the client on the best tier of this machine: an answer that verifies is one
// on which two implementations agree.
class ClientTest : public testing::Test {
 protected:
  ClientTest()
      : tier_(nts::all_kernels_beside(*nts::siv::choose_tier())),
        keys_(oracle_),
        server_(oracle_, server_random_) {
    keys_.load(make_ring({RingEntry{6, nts::KeyState::retired}, RingEntry{7, nts::KeyState::current}}));
    clock_.leap = 0;
    clock_.stratum = 1;
    clock_.root_delay = 7;
    clock_.root_dispersion = 99;
    clock_.reference_id = 0x47505300;
    clock_.reference = {received_.units - (1ULL << 33)};
    agree(session_, 8);
  }

  static void agree(nts::ClientSession& session, std::uint8_t cookies) {
    std::ranges::copy(key_of(0xc2), session.c2s.bytes().begin());
    std::ranges::copy(key_of(0x52), session.s2c.bytes().begin());
    for (std::uint8_t i = 0; i < cookies; ++i) ASSERT_TRUE(session.cookies.add(usual_cookie(i)));
  }

  Octets serve(const nts::ClientRequest& request) {
    Octets octets(request.payload().begin(), request.payload().end());
    nts::Batch batch;
    batch.count = 1;
    batch.packet[0] = octets.data();
    batch.packet_bytes[0] = request.bytes;
    batch.received[0] = received_;
    server_.open_requests(batch, keys_, {});
    server_.prepare_answers(batch, keys_, clock_);
    server_.seal_answers(batch, transmit_);
    octets.resize(batch.answer_bytes[0]);
    return octets;
  }

  nts::ClientRequest ask() { return nts::make_nts_request(session_, tier_, random_); }
  nts::Answer judge(const Octets& octets, const nts::ClientRequest& request) {
    return nts::read_answer(octets, request, &session_, &tier_);
  }

  // The header of a good answer.
  static Octets plain_header(const nts::ClientRequest& request) {
    Octets head = RequestBuilder(4, 4).transmit(0xe000000022345678).octets();
    head[1] = 2;
    nts::store_u64(head.data() + 24, request.origin.units);
    nts::store_u64(head.data() + 32, 0xe000000012345678);
    return head;
  }
  static Octets answer_with(const nts::ClientRequest& request, const Octets& plaintext,
                            std::size_t nonce_bytes = 16, std::size_t padding = 0, const Octets& clear = {}) {
    return seal(plain_header(request), request, plaintext, nonce_bytes, padding, clear);
  }
  // An answer of our own making, sealed by nettle: header, identifier, `clear` fields, then the seal.
  static Octets seal(const Octets& head, const nts::ClientRequest& request, const Octets& plaintext,
                     std::size_t nonce_bytes = 16, std::size_t padding = 0, const Octets& clear = {}) {
    Octets octets = head;
    octets.insert(octets.end(), {1, 4, 0, 36});
    octets.insert(octets.end(), request.unique_identifier.begin(), request.unique_identifier.end());
    octets.insert(octets.end(), clear.begin(), clear.end());
    const Octets nonce(nonce_bytes, 0x6b);
    const Octets sealed = nettle_seal(key_of(0x52), octets, nonce, plaintext);
    const std::size_t sealed_at = 8 + nts::padded_to_4(static_cast<std::uint32_t>(nonce.size()));
    Octets field(sealed_at + nts::padded_to_4(static_cast<std::uint32_t>(sealed.size())) + padding);
    nts::store_u16(field.data(), 0x0404);
    nts::store_u16(field.data() + 2, static_cast<std::uint16_t>(field.size()));
    nts::store_u16(field.data() + 4, static_cast<std::uint16_t>(nonce.size()));
    nts::store_u16(field.data() + 6, static_cast<std::uint16_t>(sealed.size()));
    std::copy(nonce.begin(), nonce.end(), field.begin() + 8);
    std::copy(sealed.begin(), sealed.end(), field.begin() + static_cast<std::ptrdiff_t>(sealed_at));
    octets.insert(octets.end(), field.begin(), field.end());
    return octets;
  }
  static Octets cookie_field(std::size_t bytes, std::uint8_t fill = 0x77) {
    Octets field(4 + bytes, fill);
    nts::store_u16(field.data(), 0x0204);
    nts::store_u16(field.data() + 2, static_cast<std::uint16_t>(field.size()));
    return field;
  }

  const nts::siv::Kernels& oracle_ = nettle_kernels();
  const nts::AeadKernels tier_;
  SeededRandom random_{1};
  SeededRandom server_random_{2};
  nts::ExpandedKeyRing keys_;
  nts::Server server_;
  nts::ClockReading clock_;
  nts::ClientSession session_;
  nts::NtpTime received_{0xe000000012345678};
  nts::NtpTime transmit_{0xe000000022345678};
};

}  // namespace tests
