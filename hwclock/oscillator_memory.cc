#include "hwclock/oscillator_memory.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hwclock {
namespace {

constexpr std::array<char, 8> memory_magic = {'N', 'M', 'O', 'S', 'C', 'I', 'L', '\n'};
constexpr std::uint32_t memory_version = 1;
constexpr std::size_t checksum_bytes = 4;

struct StoredHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t filter_count;
  OscillatorMemory::Identity machine;
  OscillatorMemory::Identity boot;
  std::int64_t tai_ns;
  double ns_per_tick;
  double sigma_ns;
  double samples;
  std::uint32_t best;
  std::uint32_t reserved;
};
static_assert(sizeof(StoredHeader) == 88);

struct StoredFilter {
  std::uint64_t index;
  std::array<double, 7> numbers;  // in the order of RememberedFilter
};
static_assert(sizeof(StoredFilter) == 64);
static_assert(sizeof(StoredHeader) + OscillatorMemory::filters_max * sizeof(StoredFilter) + checksum_bytes <
              memory_bytes_max);

// Beyond these nothing is an oscillator that we could have followed.
constexpr double ns_per_tick_max = 4.0;     // 268 MHz are the fewest that are served from
constexpr double ns_per_tick_least = 0.01;  // 100 GHz
constexpr double rate_max_ppb = 1e6;
constexpr double drift_max_ppb_s = 1.0;
constexpr double sigma_max_ns = 1e9;
constexpr double samples_max = 1e6;
constexpr double evidence_max = 1e9;

// CRC-32 of IEEE 802.3, bit by bit: once in minutes, over some kilobytes.
std::uint32_t crc32(std::span<const std::uint8_t> octets) {
  constexpr std::uint32_t polynomial = 0xedb88320;
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t octet : octets) {
    crc ^= octet;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
  }
  return ~crc;
}

// False also for what is not a number.
bool is_within(double value, double lowest, double highest) { return value >= lowest && value <= highest; }

bool is_sound(const RememberedFilter& filter) {
  return is_within(filter.rate_ppb, -rate_max_ppb, rate_max_ppb) &&
         is_within(filter.drift_ppb_s, -drift_max_ppb_s, drift_max_ppb_s) &&
         is_within(filter.rate_variance, 0.0, rate_max_ppb * rate_max_ppb) && filter.rate_variance > 0.0 &&
         is_within(filter.drift_variance, 0.0, drift_max_ppb_s * drift_max_ppb_s) &&
         filter.drift_variance > 0.0 &&
         is_within(filter.rate_drift * filter.rate_drift, 0.0,
                   filter.rate_variance * filter.drift_variance) &&
         is_within(filter.log_evidence, -evidence_max, evidence_max) &&
         is_within(filter.squares, 0.0, evidence_max);
}

}  // namespace

std::vector<std::uint8_t> encode_memory(const OscillatorMemory& memory) {
  const std::size_t body = sizeof(StoredHeader) + memory.filter_count * sizeof(StoredFilter);
  std::vector<std::uint8_t> octets(body + checksum_bytes);
  const StoredHeader header{memory_magic,
                            memory_version,
                            memory.filter_count,
                            memory.machine,
                            memory.boot,
                            memory.tai_ns,
                            memory.ns_per_tick,
                            memory.sigma_ns,
                            memory.samples,
                            memory.best,
                            0};
  std::memcpy(octets.data(), &header, sizeof header);
  for (std::size_t i = 0; i < memory.filter_count; ++i) {
    const RememberedFilter& one = memory.filters[i];
    const StoredFilter stored{one.index,
                              {one.rate_ppb, one.drift_ppb_s, one.rate_variance, one.rate_drift,
                               one.drift_variance, one.log_evidence, one.squares}};
    std::memcpy(octets.data() + sizeof header + i * sizeof stored, &stored, sizeof stored);
  }
  const std::uint32_t checksum = crc32(std::span(octets).first(body));
  std::memcpy(octets.data() + body, &checksum, sizeof checksum);
  return octets;
}

std::string decode_memory(std::span<const std::uint8_t> octets, OscillatorMemory& memory) {
  StoredHeader header;
  if (octets.size() < sizeof header + checksum_bytes) return "it is cut short";
  std::memcpy(&header, octets.data(), sizeof header);
  if (header.magic != memory_magic) return "it is no oscillator's memory";
  if (header.version != memory_version) {
    return "it has version " + std::to_string(header.version) + " and this program reads version " +
           std::to_string(memory_version);
  }
  if (header.filter_count > OscillatorMemory::filters_max ||
      octets.size() != sizeof header + header.filter_count * sizeof(StoredFilter) + checksum_bytes) {
    return "its length is not what it says";
  }
  const std::size_t body = octets.size() - checksum_bytes;
  std::uint32_t checksum = 0;
  std::memcpy(&checksum, octets.data() + body, sizeof checksum);
  if (checksum != crc32(octets.first(body))) return "its checksum is wrong";

  constexpr const char* absurd = "it says what no oscillator does";
  if (header.filter_count == 0 || !is_within(header.ns_per_tick, ns_per_tick_least, ns_per_tick_max) ||
      !is_within(header.sigma_ns, 1e-3, sigma_max_ns) || !is_within(header.samples, 0.0, samples_max)) {
    return absurd;
  }
  memory.machine = header.machine;
  memory.boot = header.boot;
  memory.tai_ns = header.tai_ns;
  memory.ns_per_tick = header.ns_per_tick;
  memory.sigma_ns = header.sigma_ns;
  memory.samples = header.samples;
  memory.best = header.best;
  memory.filter_count = header.filter_count;
  bool has_best = false;
  for (std::size_t i = 0; i < header.filter_count; ++i) {
    StoredFilter stored;
    std::memcpy(&stored, octets.data() + sizeof header + i * sizeof stored, sizeof stored);
    const bool is_in_order = i == 0 || stored.index > memory.filters[i - 1].index;
    const auto& [rate, drift, rate_variance, rate_drift, drift_variance, log_evidence, squares] =
        stored.numbers;
    RememberedFilter& one = memory.filters[i];
    one = {static_cast<std::uint32_t>(std::min<std::uint64_t>(stored.index, OscillatorMemory::filters_max)),
           rate,
           drift,
           rate_variance,
           rate_drift,
           drift_variance,
           log_evidence,
           squares};
    if (!is_in_order || stored.index >= OscillatorMemory::filters_max || !is_sound(one)) return absurd;
    has_best = has_best || one.index == header.best;
  }
  return has_best ? "" : absurd;
}

}  // namespace hwclock
