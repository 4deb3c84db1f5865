// Messages for one call of a tier, in the shapes of NTS and in one of nobody's: what is secret of them, and
// which are forged, is for the program to say.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

namespace secrets {

using nts::siv::Job;

inline constexpr std::uint32_t messages_max = nts::siv::key_table_keys_max;

struct Shape {
  std::uint32_t associated_data_bytes, nonce_bytes, plaintext_bytes;
};
inline constexpr std::array<Shape, 8> shapes = {{
    {0, 16, 64},    // a cookie
    {188, 16, 0},   // a request
    {84, 16, 104},  // an answer with one cookie
    {84, 16, 832},  // and with eight
    {37, 12, 33},   // nobody's
    // Nor these: their ends take every way that there is for the end of a text, in one to four registers.
    {12, 16, 31},
    {12, 16, 95},
    {12, 16, 127},
}};
inline constexpr std::uint32_t usual_shapes = 5;  // those before
inline constexpr std::uint32_t text_bytes_max = 832;

// Message i has the shape `first` + i * `step`: a step of 0 fills all lanes with one shape, 1 mixes them.
inline const Shape& shape_of(std::uint32_t first, std::uint32_t step, std::uint32_t i) {
  return shapes[step == 0 ? first : (first + i * step) % usual_shapes];
}

struct Message {
  std::array<std::uint8_t, nts::siv::key_bytes_512> key;  // of which an AEAD takes as many as it has
  std::array<std::uint8_t, 188> associated_data;
  std::array<std::uint8_t, 16> nonce;
  std::array<std::uint8_t, text_bytes_max> plaintext;
  std::array<std::uint8_t, text_bytes_max + 16> sealed;
};

struct Messages {
  std::array<Message, messages_max> of;
  std::array<Job, messages_max> jobs;
  std::array<const std::uint8_t*, messages_max> keys;
  std::array<const std::uint8_t*, messages_max> nonces;
  std::uint32_t octets_seed = 20261126;

  // `nonce_bytes`: of all, or 0 for those of the shapes.
  void make(std::uint32_t first, std::uint32_t step, std::uint32_t count, std::uint32_t nonce_bytes) {
    for (std::uint32_t i = 0; i < count; ++i) {
      Message& m = of[i];
      for (std::uint8_t& octet : m.key) octet = next_octet();
      for (std::uint8_t& octet : m.associated_data) octet = next_octet();
      for (std::uint8_t& octet : m.nonce) octet = next_octet();
      for (std::uint8_t& octet : m.plaintext) octet = next_octet();
      m.sealed.fill(0);
      const Shape& shape = shape_of(first, step, i);
      jobs[i] = {.associated_data = m.associated_data.data(),
                 .nonce = m.nonce.data(),
                 .plaintext = m.plaintext.data(),
                 .sealed = m.sealed.data(),
                 .associated_data_bytes = shape.associated_data_bytes,
                 .nonce_bytes = nonce_bytes != 0 ? nonce_bytes : shape.nonce_bytes,
                 .plaintext_bytes = shape.plaintext_bytes,
                 .authentic = 0};
      keys[i] = m.key.data();
      nonces[i] = m.nonce.data();
    }
  }

  // Spoils one bit of tag `i`, another octet for each, as `salt` has it.
  void forge(std::uint32_t i, std::uint32_t salt, bool is_tag_first) {
    std::uint8_t* tag = jobs[i].sealed + (is_tag_first ? 0 : jobs[i].plaintext_bytes);
    tag[(i + salt) % 16] ^= static_cast<std::uint8_t>(1 << i % 8);
  }

 private:
  std::uint8_t next_octet() {
    octets_seed = octets_seed * 1664525 + 1013904223;
    return static_cast<std::uint8_t>(octets_seed >> 24);
  }
};

}  // namespace secrets
