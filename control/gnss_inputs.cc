#include "control/gnss_inputs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "hwclock/calendar.h"
#include "hwclock/serial_line.h"
#include "hwclock/tsc.h"

namespace control {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
// Longer than a look at the inputs is away, shorter than a receiver takes to contradict itself.
constexpr double patience_s = 0.25;
constexpr double retry_s = 3.0;
// 8 looks a second, a few events each; a flood beyond it is nobody's clock.
constexpr std::size_t waiting_max = 64;
constexpr std::size_t line_octets_max = 4096;  // a look: more than 38400 octets a second is no receiver
constexpr int datagrams_max = 32;              // a look
// gpsd hands on a fix when all of its messages have come, up to a second after it says when they began to.
constexpr double offset_s_max = 5.0;

// A socket whose name was deleted is open and hears nobody any more. One of somebody else under that name
// stays his: two that take it from each other would both be deaf.
bool has_name(const std::filesystem::path& socket) {
  std::error_code error;
  return std::filesystem::symlink_status(socket, error).type() != std::filesystem::file_type::not_found;
}

}  // namespace

GnssInputs::GnssInputs(const Config::Gnss& config, std::uint64_t tick_hz, const hwclock::LeapTable& leaps,
                       std::int64_t known_good_utc_s)
    : config_(config),
      leaps_(leaps),
      known_good_utc_s_(known_good_utc_s),
      tick_hz_(static_cast<double>(tick_hz)),
      receiver_(tick_hz, leaps, known_good_utc_s, config.stands_within_m),
      stamps_(tick_hz),
      gpsd_receivers_(tick_hz),
      gpsd_edges_(tick_hz) {
  if (config.gpsd) gpsd_ = std::make_unique<GpsdInput>(*config.gpsd, tick_hz);
  waiting_.reserve(waiting_max);
}

void GnssInputs::open_receiver() {
  if (config_.receiver.empty() || receiver_line_.is_open()) return;
  receiver_line_ = Descriptor(hwclock::open_serial_line(config_.receiver, config_.baud));
  ++counters_.openings;
}

void GnssInputs::open_pulse() {
  switch (config_.pulse.kind) {
    case PulseKind::kernel_pps_assert:
    case PulseKind::kernel_pps_clear:
      if (pulse_.is_open()) return;
      pulse_ = Descriptor(hwclock::open_kernel_pps(
          config_.pulse.path, config_.pulse.kind == PulseKind::kernel_pps_assert ? hwclock::PpsEdge::assert
                                                                                 : hwclock::PpsEdge::clear));
      break;
    case PulseKind::sock:
      if (pulse_.is_open() && has_name(config_.pulse.path)) return;
      pulse_ = Descriptor(hwclock::open_sock(config_.pulse.path));
      break;
    case PulseKind::shm:
      if (shm_ != nullptr) return;
      shm_ = hwclock::attach_ntp_shm(config_.pulse.unit);
      break;
    case PulseKind::phc_tai:
    case PulseKind::phc_utc:
    case PulseKind::extts_rising:
    case PulseKind::extts_falling:
      if (phc_ != nullptr) return;
      phc_ = std::make_unique<PhcInput>(
          config_.pulse, config_.reference_error_ns != 0 ? config_.reference_error_ns : phc_error_usual_ns,
          static_cast<std::uint64_t>(tick_hz_));
      phc_trouble_ = PhcTrouble::none;
      break;
    case PulseKind::gpsd:
    case PulseKind::gpsd_messages:
    case PulseKind::none:
      return;
  }
  ++counters_.openings;
}

void GnssInputs::open_missing() {
  const std::uint64_t now = hwclock::read_tsc_in_order();
  if (gpsd_) gpsd_->tend(now);
  if (now < next_try_tick_) return;
  next_try_tick_ = now + static_cast<std::uint64_t>(retry_s * tick_hz_);
  std::string trouble;
  for (const auto open : {&GnssInputs::open_receiver, &GnssInputs::open_pulse}) {
    try {
      (this->*open)();
    } catch (const std::system_error& error) {
      trouble += (trouble.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  if (!trouble.empty() && trouble != trouble_) trouble_log_.log(Severity::warning, trouble);
  trouble_ = std::move(trouble);
}

void GnssInputs::read_receiver(std::uint64_t tick) {
  if (gpsd_) {
    read_gpsd(tick);
    return;
  }
  std::array<std::uint8_t, line_octets_max> room;
  std::size_t count = 0;
  switch (hwclock::read_line(receiver_line_.get(), room, count)) {
    case hwclock::LineRead::octets:
      if (const auto told = receiver_.take(std::span(room).first(count), tick)) {
        add({told->tick, Kind::time_of_day, *told, {}, 0.0});
      }
      break;
    case hwclock::LineRead::nothing:
      break;
    case hwclock::LineRead::gone:
      receiver_line_.reset();
      trouble_ = "the receiver's line " + config_.receiver.native() + " has gone";
      trouble_log_.log(Severity::warning, trouble_ + "; it is opened again when it is there");
      break;
  }
}

void GnssInputs::read_gpsd(std::uint64_t tick) {
  for (const hwclock::GpsdMessage& message : gpsd_->read(tick)) {
    if (const auto* fix = std::get_if<hwclock::GpsdFix>(&message)) {
      if (!gpsd_receivers_.follows(fix->device, fix->has_fix, tick)) continue;
      const auto told = receiver_.take(*fix, tick);
      const bool has_better = gpsd_offset_tick_ != 0 &&
                              tick - gpsd_offset_tick_ < static_cast<std::uint64_t>(offset_s_max * tick_hz_);
      if (told && !has_better) add({tick, Kind::time_of_day, *told, {}, 0.0});
    } else if (const auto* offset = std::get_if<hwclock::GpsdOffset>(&message)) {
      take_gpsd(*offset, tick);
    } else if (const auto* pulse = std::get_if<hwclock::GpsdPulse>(&message)) {
      take_gpsd(*pulse, tick);
    } else if (const auto* sky = std::get_if<hwclock::GpsdSky>(&message)) {
      if (gpsd_receivers_.follows(sky->device, false, tick)) receiver_.take(*sky);
    }
  }
}

// It says when the message began to come, which is a better time of day than when we hear of it, and where
// there are no edges the only one.
void GnssInputs::take_gpsd(const hwclock::GpsdOffset& offset, std::uint64_t tick) {
  if (!gpsd_receivers_.follows(offset.device, false, tick)) return;
  const auto stamp = stamps_.tick_of(offset.clock_ns);
  if (!stamp) {
    ++counters_.unplaced;
    return;
  }
  const auto told = receiver_.take(offset, stamp->tick);
  if (!told) return;
  gpsd_offset_tick_ = tick;
  add({stamp->tick, Kind::time_of_day, *told, {}, 0.0});
  if (config_.pulse.kind != PulseKind::gpsd_messages) return;
  const hwclock::TaiTime reference{told->tai_s * ns_per_s + offset.reference_ns % ns_per_s};
  add({stamp->tick, Kind::sample, {}, reference, stamp->sigma_ns});
}

// The second that gpsd gives it is not taken: what numbers pulses of all inputs is more careful.
void GnssInputs::take_gpsd(const hwclock::GpsdPulse& pulse, std::uint64_t tick) {
  if (config_.pulse.kind != PulseKind::gpsd || !gpsd_edges_.follows(pulse.device, true, tick)) return;
  const std::int64_t past_ns = pulse.reference_ns - (pulse.reference_ns + ns_per_s / 2) / ns_per_s * ns_per_s;
  gpsd_error_ns_ = pulse.error_ns;
  add_pulse(pulse.clock_ns - past_ns + std::llround(pulse.sawtooth_ns), pulse.error_ns);
}

void GnssInputs::add(const Event& event) {
  const bool is_too_late = event.kind != Kind::time_of_day && event.tick < handed_tick_;
  if (waiting_.size() == waiting_max || is_too_late) {
    ++counters_.unplaced;
    return;
  }
  const auto later = std::upper_bound(waiting_.begin(), waiting_.end(), event.tick,
                                      [](std::uint64_t tick, const Event& one) { return tick < one.tick; });
  waiting_.insert(later, event);
}

void GnssInputs::add_pulse(std::int64_t clock_ns, double sigma_ns) {
  if (const auto stamp = stamps_.tick_of(clock_ns)) {
    add({stamp->tick, Kind::pulse, {}, {}, std::max(stamp->sigma_ns, sigma_ns)});
  } else {
    ++counters_.unplaced;
  }
}

void GnssInputs::add_sample(std::int64_t clock_ns, std::int64_t reference_utc_ns) {
  const auto stamp = stamps_.tick_of(clock_ns);
  if (!stamp) {
    ++counters_.unplaced;
    return;
  }
  add({stamp->tick, Kind::sample, {}, {tai_ns_of(reference_utc_ns)}, stamp->sigma_ns});
}

std::int64_t GnssInputs::tai_ns_of(std::int64_t utc_ns) const {
  return utc_ns + leaps_.plan_at(utc_ns / ns_per_s).tai_minus_utc_s * ns_per_s;
}

// Seconds of the NIC's clock name themselves; edges on its pins are numbered as any pulse.
void GnssInputs::look_at_phc(const hwclock::Reading& clock) {
  phc_events_.clear();
  const bool is_there = phc_->look(stamps_, clock.half_width_ticks, phc_events_);
  for (const PhcEvent& event : phc_events_) {
    if (is_phc_edge(config_.pulse.kind)) {
      add({event.tick, Kind::pulse, {}, {}, event.sigma_ns});
      continue;
    }
    const std::int64_t tai_ns =
        config_.pulse.kind == PulseKind::phc_utc ? tai_ns_of(event.phc_ns) : event.phc_ns;
    add({event.tick, Kind::sample, {}, {tai_ns}, event.sigma_ns});
  }
  if (const PhcTrouble trouble = phc_->trouble(); trouble != phc_trouble_) {
    phc_trouble_ = trouble;
    const bool is_bad = trouble != PhcTrouble::none;
    trouble_log_.log(is_bad ? Severity::warning : Severity::info,
                     config_.pulse.path.native() + ": " + sentence_of(trouble));
  }
  if (!is_there) lose_pulse_input();
}

void GnssInputs::lose_pulse_input() {
  pulse_.reset();
  if (phc_ != nullptr) {
    phc_before_ += phc_->counters();
    phc_.reset();
  }
  trouble_ = "the pulse input " + config_.pulse.path.native() + " has gone";
  trouble_log_.log(Severity::warning, trouble_ + "; it is opened again when it is there");
}

void GnssInputs::look_at_pps() {
  const bool is_assert = config_.pulse.kind == PulseKind::kernel_pps_assert;
  int error = 0;
  const auto event = hwclock::last_pps_event(
      pulse_.get(), is_assert ? hwclock::PpsEdge::assert : hwclock::PpsEdge::clear, error);
  if (error != 0) {
    lose_pulse_input();
    return;
  }
  if (!event || event->sequence == pps_sequence_) return;
  const bool is_first = pps_sequence_ == 0;  // it may be hours old
  pps_sequence_ = event->sequence;
  if (!is_first) add_pulse(event->clock_ns);
}

void GnssInputs::look_at_sock() {
  for (int i = 0; i < datagrams_max; ++i) {
    bool is_empty = false;
    const auto sample = hwclock::receive_sock_sample(pulse_.get(), is_empty);
    if (is_empty) return;
    if (!sample) {
      ++counters_.malformed;
      continue;
    }
    if (!sample->is_pulse) {
      add_sample(sample->clock_ns, sample->clock_ns + std::llround(sample->offset_ns));
      continue;
    }
    // The true time then, of which the second is not to be trusted: where the nearest whole one was.
    const std::int64_t offset_ns = std::llround(std::remainder(sample->offset_ns, 1e9));
    const std::int64_t true_ns = sample->clock_ns + offset_ns;
    const std::int64_t past_ns = true_ns - (true_ns + ns_per_s / 2) / ns_per_s * ns_per_s;
    add_pulse(sample->clock_ns - past_ns);
  }
}

void GnssInputs::look_at_shm() {
  if (const auto sample = hwclock::take_shm_sample(*shm_)) add_sample(sample->clock_ns, sample->reference_ns);
}

void GnssInputs::look(const hwclock::Reading& clock, hwclock::Discipline& discipline) {
  stamps_.take(clock);
  if (shm_ != nullptr) look_at_shm();
  if (config_.pulse.kind == PulseKind::gpsd) discipline.set_window_error(gpsd_error_ns_);
  if (phc_ != nullptr) {
    look_at_phc(clock);
    if (phc_ != nullptr) discipline.set_window_error(phc_->window_ns());
  }
  if (pulse_.is_open() && config_.pulse.kind == PulseKind::sock) look_at_sock();
  if (pulse_.is_open() && config_.pulse.kind != PulseKind::sock) look_at_pps();

  const auto patience = static_cast<std::uint64_t>(patience_s * tick_hz_);
  std::size_t done = 0;
  while (done < waiting_.size() && waiting_[done].tick + patience <= clock.tsc) {
    handed_tick_ = waiting_[done].tick;
    hand_on(waiting_[done++], discipline);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(done));
}

void GnssInputs::hand_on(const Event& event, hwclock::Discipline& discipline) {
  if (event.kind == Kind::time_of_day) {
    ++counters_.messages;
    discipline.take_time_of_day(event.time_of_day);
    return;
  }
  const double late_ns = static_cast<double>(config_.pulse_delay_ns) + config_.antenna_delay_ns;
  const double sawtooth_ns = receiver_.take_pulse_correction_ns(event.tick);
  if (has_receiver() && receiver_.doubt(event.tick) != hwclock::ReceiverDoubt::none) {
    ++counters_.doubted;
    return;
  }
  if (event.kind == Kind::pulse) {
    ++counters_.pulses;
    discipline.take_pulse(event.tick, late_ns + sawtooth_ns, event.sigma_ns);
    return;
  }
  if (!hwclock::is_possible_date(event.reference.ns / ns_per_s, known_good_utc_s_)) {
    ++counters_.doubted;
    trouble_log_.log(Severity::warning, hwclock::sentence_of(hwclock::ReceiverDoubt::impossible));
    is_impossible_ = true;
    return;
  }
  is_impossible_ = false;
  ++counters_.samples;
  const hwclock::TaiTime reference{event.reference.ns + std::llround(late_ns)};
  discipline.take_sample(event.tick, reference, event.sigma_ns);
}

hwclock::ReceiverDoubt GnssInputs::doubt(std::uint64_t tick) const noexcept {
  if (is_impossible_) return hwclock::ReceiverDoubt::impossible;
  return has_receiver() ? receiver_.doubt(tick) : hwclock::ReceiverDoubt::none;
}

GnssCounters GnssInputs::counters() const noexcept {
  GnssCounters all = counters_;
  all.dropped_messages = receiver_.dropped();
  if (gpsd_) {
    all.dropped_messages += gpsd_->dropped_lines();
    all.openings += gpsd_->openings();
  }
  PhcCounters phc = phc_before_;
  if (phc_ != nullptr) phc += phc_->counters();
  all.doubted += phc.doubted;
  all.unplaced += phc.unplaced;
  all.phc_steps = phc.steps;
  all.phc_unread = phc.unread;
  all.dropped_edges = phc.dropped_edges;
  return all;
}

}  // namespace control
