#include "bench/load/session.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "nts/cookie.h"

namespace bench::load {
namespace {

std::string hex_of(std::span<const std::uint8_t> octets) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t octet : octets) {
    text += digits[octet >> 4];
    text += digits[octet & 15];
  }
  return text;
}

std::vector<std::uint8_t> octets_of(const std::string& text) {
  std::vector<std::uint8_t> octets;
  if (text.size() % 2 != 0) return octets;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    char* end = nullptr;
    const std::string pair = text.substr(i, 2);
    octets.push_back(static_cast<std::uint8_t>(std::strtoul(pair.c_str(), &end, 16)));
    if (*end != 0) return {};
  }
  return octets;
}

void take_key(const std::vector<std::uint8_t>& octets, std::array<std::uint8_t, nts::siv::key_bytes>& key,
              const std::filesystem::path& file) {
  if (octets.size() != key.size()) throw SessionError(file.string() + ": a key has 64 hexadecimal digits");
  std::memcpy(key.data(), octets.data(), key.size());
}

}  // namespace

Session session_under(const nts::KeyRing& ring, const nts::siv::Kernels& tier, nts::RandomSource& random,
                      std::size_t cookies) {
  Session session;
  random.fill(session.c2s);
  random.fill(session.s2c);
  std::array<std::uint8_t, nts::cookie_plaintext_bytes> keys;
  std::memcpy(keys.data(), session.c2s.data(), session.c2s.size());
  std::memcpy(keys.data() + session.c2s.size(), session.s2c.data(), session.s2c.size());
  nts::siv::RingKeySchedule schedule;
  tier.expand_ring_key(ring.slot_of(ring.current_id).key.data(), &schedule);
  for (std::size_t i = 0; i < cookies; ++i) {
    std::array<std::uint8_t, nts::cookie_nonce_bytes> nonce;
    random.fill(nonce);
    std::vector<std::uint8_t> cookie(nts::cookie_bytes);
    nts::siv::Job job;
    nts::make_seal_job(cookie.data(), ring.current_id, nonce, keys.data(), job);
    tier.seal_with_ring_key(&schedule, &job, 1);
    session.cookies.push_back(std::move(cookie));
  }
  return session;
}

Session read_session(const std::filesystem::path& file) {
  struct stat facts {};
  if (stat(file.c_str(), &facts) != 0) throw SessionError(file.string() + ": " + std::strerror(errno));
  if ((facts.st_mode & 0077) != 0)
    throw SessionError(file.string() + " holds keys and others may read it; chmod 600 it");
  Session session;
  bool has_c2s = false;
  bool has_s2c = false;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::string hex;
    if (!(words >> name >> hex)) continue;
    std::vector<std::uint8_t> octets = octets_of(hex);
    if (name == "c2s") {
      take_key(octets, session.c2s, file);
      has_c2s = true;
    } else if (name == "s2c") {
      take_key(octets, session.s2c, file);
      has_s2c = true;
    } else if (name == "cookie" && octets.size() >= 12 && octets.size() % 4 == 0 && octets.size() <= 256) {
      session.cookies.push_back(std::move(octets));
    } else {
      throw SessionError(file.string() + ": \"" + name + "\" is no c2s, s2c or cookie in hexadecimal digits");
    }
  }
  if (!has_c2s || !has_s2c || session.cookies.empty())
    throw SessionError(file.string() + " must have a line c2s, a line s2c and at least one line cookie");
  return session;
}

void write_session(const std::filesystem::path& file, const Session& session) {
  std::string text = "c2s " + hex_of(session.c2s) + "\ns2c " + hex_of(session.s2c) + "\n";
  for (const auto& cookie : session.cookies) text += "cookie " + hex_of(cookie) + "\n";
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) throw SessionError(file.string() + ": " + std::strerror(errno));
  const ssize_t written = write(descriptor, text.data(), text.size());
  close(descriptor);
  if (written != static_cast<ssize_t>(text.size())) throw SessionError(file.string() + " cannot be written");
}

}  // namespace bench::load
