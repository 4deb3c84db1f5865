#include <cmath>
#include <cstdio>

#include "bench/load/generator.h"

namespace bench::load {
namespace {

template <typename... Values>
void print(std::string& text, const char* format, Values... values) {
  char line[160];
  std::snprintf(line, sizeof line, format, values...);
  text += line;
}

unsigned long long whole(std::uint64_t value) { return value; }

}  // namespace

std::uint64_t Report::latency_ns(double share) const {
  const std::uint64_t ticks = share >= 1 ? latencies.max() : latencies.percentile(share);
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(ticks) / ticks_per_ns));
}

std::string Report::lines(const std::string& prefix) const {
  std::string text;
  const auto line = [&](const char* name, std::uint64_t value) {
    print(text, "%s%s=%llu\n", prefix.c_str(), name, whole(value));
  };
  line("pps", static_cast<std::uint64_t>(rate()));
  line("best_pps", static_cast<std::uint64_t>(best_rate));
  line("probes", probes);
  line("sent", sent);
  line("answered", answered);
  line("in_time", in_time);
  line("lost", lost);
  line("late", late);
  line("wrong", wrong);
  for (std::size_t i = 1; i < faults.size(); ++i) {
    if (faults[i] != 0) line(("wrong_" + std::string(fault_names[i])).c_str(), faults[i]);
  }
  if (bad_checksums != 0) line("wrong_checksum", bad_checksums);
  line("not_sent", not_sent);
  line("cookies_reused", cookies_reused);
  line("latency_p50_ns", latency_ns(0.5));
  line("latency_p90_ns", latency_ns(0.9));
  line("latency_p99_ns", latency_ns(0.99));
  line("latency_p999_ns", latency_ns(0.999));
  line("latency_max_ns", latency_ns(1));
  return text;
}

std::string Report::table() const {
  std::string text;
  const double all = sent == 0 ? 1 : static_cast<double>(sent);
  print(text, "%14s %14s %12s %10s %10s\n", "sent", "answered", "lost", "wrong", "per second");
  print(text, "%14llu %14llu %12llu %10llu %10.0f\n", whole(sent), whole(answered), whole(lost), whole(wrong),
        rate());
  print(text, "lost %.4f %%; latency us: 50 %% %.1f, 90 %% %.1f, 99 %% %.1f, 99.9 %% %.1f, longest %.1f\n",
        100 * static_cast<double>(lost) / all, static_cast<double>(latency_ns(0.5)) / 1e3,
        static_cast<double>(latency_ns(0.9)) / 1e3, static_cast<double>(latency_ns(0.99)) / 1e3,
        static_cast<double>(latency_ns(0.999)) / 1e3, static_cast<double>(latency_ns(1)) / 1e3);
  return text;
}

}  // namespace bench::load
