#include "control/gnss_time.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <system_error>

#include "control/config_gnss.h"
#include "control/file_check.h"
#include "control/log.h"
#include "control/oscillator_file.h"
#include "control/query_report.h"
#include "hwclock/calendar.h"
#include "hwclock/reference_id.h"

namespace control {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t ns_per_us = 1000;
constexpr const char* contradicted = "a majority of the authenticated upstreams contradicts the receiver";
constexpr std::size_t leap_file_bytes_max = 1 << 20;
constexpr double save_interval_s = 600.0;

const char* sentence_of(hwclock::NumberingDoubt doubt) noexcept {
  switch (doubt) {
    case hwclock::NumberingDoubt::none:
      return "pulses are numbered";
    case hwclock::NumberingDoubt::no_pulse:
      return "no pulses come";
    case hwclock::NumberingDoubt::period:
      return "pulses are not a second apart";
    case hwclock::NumberingDoubt::no_time_of_day:
      return "pulses come, but nobody says in time which second they begin";
    case hwclock::NumberingDoubt::ambiguous_delay:
      return "the receiver's message comes half a second behind the pulse, and may mean either";
    case hwclock::NumberingDoubt::unsteady_delay:
      return "the receiver's messages come at no steady delay";
    case hwclock::NumberingDoubt::disagreement:
      return "the receiver's messages give different seconds";
  }
  return "";
}

// To follow the file's name; null where nothing has come of it.
const char* sentence_of(hwclock::MemoryFate fate) noexcept {
  switch (fate) {
    case hwclock::MemoryFate::confirmed:
      return ": the pulses agree with what was remembered of the oscillator";
    case hwclock::MemoryFate::too_old:
      return " is not used: it is older than 30 days; the oscillator is learned anew";
    case hwclock::MemoryFate::from_later:
      return " is not used: it is of a time that is still to come; the oscillator is learned anew";
    case hwclock::MemoryFate::refuted:
      return " is not used: the pulses do not agree with it; the oscillator is learned anew";
    default:
      return nullptr;
  }
}

// Who may announce a leap second: who may contradict a receiver's time, or names the seconds of pulses
// without one (hwclock::date_of), which a single upstream may.
hwclock::AnnouncedLeap announced_by(const Config& config) {
  if (config.gnss.has_receiver()) return hwclock::AnnouncedLeap(config.clock.upstream_quorum);
  return hwclock::AnnouncedLeap(1, config.clock.unauthenticated_date);
}

}  // namespace

hwclock::DisciplinePolicy discipline_policy(const Config& config, std::int32_t precision) {
  const Config::Gnss& gnss = config.gnss;
  const UsualPulse usual = usual_of(gnss.pulse.kind);
  hwclock::DisciplinePolicy policy;
  policy.pulse_sigma_ns = gnss.pulse_sigma_ns != 0 ? gnss.pulse_sigma_ns : usual.sigma_ns;
  policy.reference_error_ns = gnss.reference_error_ns != 0 ? gnss.reference_error_ns : usual.error_ns;
  policy.lock_error_max_ns = gnss.lock_error_max_us * ns_per_us;
  policy.holdover_error_max_ns = config.clock.holdover_max_error_us * ns_per_us;
  policy.holdover_s_max = gnss.holdover_max_s;
  policy.reference_id = hwclock::reference_id_of(gnss.reference_id);
  policy.precision = precision;
  return policy;
}

hwclock::LeapTable leap_table_of(const std::filesystem::path& file, std::int64_t now_utc_s,
                                 std::string& warning) {
  constexpr const char* instead = "; the table of this program is used, and what the receiver says";
  try {
    std::string fault;
    if (auto table = hwclock::LeapTable::parse(read_checked_file(file, leap_file_bytes_max), fault)) {
      if (table->expires_utc_s() != 0 && table->expires_utc_s() < now_utc_s) {
        warning =
            file.native() + " has expired; it is used, but may lack the last leap second: update tzdata";
      }
      return *table;
    }
    warning = file.native() + ": " + fault + instead;
  } catch (const FileError& error) {
    warning = std::string(error.what()) + instead;
  }
  return hwclock::LeapTable::compiled();
}

GnssTime::GnssTime(const Config& config, std::uint64_t tsc_hz, std::int32_t precision,
                   const std::optional<hwclock::ClockState>& left_behind)
    : config_(config),
      tick_hz_(static_cast<double>(tsc_hz)),
      leaps_(leap_table_of(config.gnss.leap_seconds, hwclock::written_utc_s, leap_warning_)),
      inputs_(config.gnss, tsc_hz, leaps_, hwclock::written_utc_s),
      discipline_(std::make_unique<hwclock::Discipline>(tsc_hz, discipline_policy(config, precision))),
      witnesses_(tsc_hz, config.clock.upstream_quorum),
      announced_(announced_by(config)),
      left_behind_(left_behind) {
  if (left_behind_) {
    if (const auto change = hwclock::change_left_behind(*left_behind_, leaps_)) leaps_.learn(*change);
  }
  if (!leap_warning_.empty()) log(Severity::warning, leap_warning_);
  if (!config_.gnss.memory.empty()) recall();
}

void GnssTime::recall() {
  const RecalledOscillator recalled = recall_oscillator(config_.gnss.memory);
  std::string fault = recalled.fault;
  if (recalled.memory && !discipline_->recall(*recalled.memory, recalled.restart_sigma_ppb))
    fault = "it is of a counter that ticks at another rate, or of pulses with another sigma";
  memory_fate_ = discipline_->estimator().memory_fate();
  if (fault.empty()) return;
  log(Severity::warning, "[gnss] memory " + config_.gnss.memory.native() + " is not used: " + fault +
                             "; the oscillator is learned anew");
}

// Nothing that is contradicted or not promised is worth remembering.
std::unique_ptr<hwclock::OscillatorMemory> GnssTime::memory() const {
  const bool is_good =
      (discipline_->state() == hwclock::State::locked || discipline_->state() == hwclock::State::holdover) &&
      !discipline_->is_contradicted() && discipline_->estimator().has_learned();
  if (config_.gnss.memory.empty() || !is_good) return nullptr;
  auto memory = std::make_unique<hwclock::OscillatorMemory>();
  discipline_->estimator().remember(*memory);
  return memory;
}

void GnssTime::save_memory() {
  if (saving_.valid()) saving_.wait();
  const auto memory = this->memory();
  if (!memory) return;
  const std::string fault = save_oscillator(config_.gnss.memory, *memory);
  if (!fault.empty())
    log(Severity::warning, "[gnss] memory " + config_.gnss.memory.native() + " was not saved: " + fault);
}

void GnssTime::tend_memory() {
  if (const hwclock::MemoryFate fate = discipline_->estimator().memory_fate(); fate != memory_fate_) {
    memory_fate_ = fate;
    if (const char* sentence = sentence_of(fate)) {
      const bool is_good = fate == hwclock::MemoryFate::confirmed;
      log(is_good ? Severity::notice : Severity::warning,
          "[gnss] memory " + config_.gnss.memory.native() + sentence);
    }
  }
  if (saving_.valid()) {
    if (saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
    if (const std::string fault = saving_.get(); !fault.empty())
      log(Severity::warning, "[gnss] memory " + config_.gnss.memory.native() + " was not saved: " + fault);
  }
  if (save_due_tick_ == 0 || now_tick_ >= save_due_tick_) {
    const bool is_first = save_due_tick_ == 0;
    save_due_tick_ = now_tick_ + static_cast<std::uint64_t>(save_interval_s * tick_hz_);
    auto memory = is_first ? nullptr : this->memory();
    if (!memory) return;
    try {
      saving_ = std::async(std::launch::async, [file = config_.gnss.memory, memory = std::move(memory)] {
        return save_oscillator(file, *memory);
      });
    } catch (const std::system_error&) {
      // No thread to be had now; there is a next time, and the end.
    }
  }
}

// The receiver knows best, if it says so; then the table.
hwclock::LeapPlan GnssTime::known_leap(std::int64_t tai_s) const {
  const hwclock::LeapPlan table = leaps_.plan_around(tai_s);
  return inputs_.receiver().plan_with(table, tai_s - table.tai_minus_utc_s);
}

void GnssTime::plan_leap(const hwclock::Reading& clock) {
  const bool has_time = discipline_->estimator().accepted_count() != 0;
  const std::int64_t tai_s = has_time
                                 ? discipline_->estimator().at(clock.tsc).time.ns / ns_per_s
                                 : clock.ns / ns_per_s + leaps_.plan_at(clock.ns / ns_per_s).tai_minus_utc_s;
  plan_ = known_leap(tai_s);
  if (plan_.change_s == 0 && announced_plan_) plan_ = *announced_plan_;
  discipline_->set_leap(plan_);
}

// A receiver that tells no leap seconds, or too late (NMEA, gpsd), names the second behind one as we name the
// one before: under a table that may lack it, only who is told beforehand stays right.
void GnssTime::hear_announced(const hwclock::UpstreamPanel& panel, std::int64_t tai_s) {
  announced_plan_.reset();
  const std::int32_t tai_minus_utc_s = leaps_.plan_around(tai_s).tai_minus_utc_s;
  const hwclock::LeapPlan known = known_leap(tai_s);
  const auto& told = inputs_.receiver().leap();
  const bool tells = known.tai_minus_utc_s != tai_minus_utc_s || (told && told->is_change_valid);
  if (known.change_s != 0 || tells) return;
  const auto plan = announced_.hear(panel, tai_s, tai_minus_utc_s);
  if (!plan || leaps_.expires_utc_s() > plan->change_tai_s - plan->tai_minus_utc_s - plan->change_s) return;
  announced_plan_ = plan;
  const bool is_sure =
      discipline_->state() == hwclock::State::locked || discipline_->state() == hwclock::State::holdover;
  if (!is_sure || !hwclock::is_decided(*plan, tai_s) || !leaps_.learn(*plan)) return;
  log(Severity::notice,
      "the upstreams announced a leap second that neither the receiver nor the table tells: TAI minus UTC "
      "becomes " +
          std::to_string(plan->tai_minus_utc_s + plan->change_s) + " s");
}

void GnssTime::hear_witnesses(const hwclock::UpstreamPanel& panel, std::uint64_t tick) {
  const hwclock::Estimator& estimator = discipline_->estimator();
  if (estimator.accepted_count() == 0) return;
  hear_announced(panel, estimator.at(tick).time.ns / ns_per_s);
  const auto heard = witnesses_.hear(panel, {tick, estimator.at(tick).time.ns, estimator.ns_per_tick(tick)},
                                     plan_, discipline_->error_ns(tick));
  if (!heard) return;
  discipline_->take_testimony(heard->testimony == hwclock::Testimony::contradicts, heard->wrong_by_ns, tick);
}

// As a receiver's message would: some time after the pulse, and only once.
void GnssTime::take_date(std::uint64_t tick, std::int64_t utc_ns) {
  constexpr std::int64_t least_ns = 100'000'000;
  constexpr std::int64_t most_ns = 350'000'000;
  const std::int64_t utc_s = utc_ns / ns_per_s;
  const std::int64_t into_ns = utc_ns % ns_per_s;
  if (into_ns < least_ns || into_ns > most_ns || utc_s == dated_utc_s_) return;
  dated_utc_s_ = utc_s;
  // Not past the pulse, which the inputs keep for a while: it would be taken for that of the second before.
  inputs_.take_time_of_day({tick, utc_s + leaps_.plan_at(utc_s).tai_minus_utc_s});
}

hwclock::ClockState GnssTime::continue_from(const hwclock::ClockState& served, std::uint64_t tick) {
  discipline_->continue_from({served.tsc0, served.ntp0, served.mult}, served.step_count, tick);
  state_ = discipline_->publish(tick);
  return state_;
}

hwclock::ClockState GnssTime::pass(const hwclock::Reading& clock) {
  state_ = judge(clock);
  if (!config_.gnss.memory.empty()) tend_memory();
  return state_;
}

hwclock::ClockState GnssTime::judge(const hwclock::Reading& clock) {
  now_tick_ = clock.tsc;
  inputs_.open_missing();
  plan_leap(clock);
  inputs_.look(clock, *discipline_);
  hwclock::ClockState state = discipline_->publish(clock.tsc);
  if (!left_behind_) return state;
  const bool is_over = !hwclock::is_believable(*left_behind_, clock.tsc);
  if (state.leap == 3 && !is_over) return held_over(*left_behind_, clock.tsc);
  if (!is_over) {
    const hwclock::ClockState& before = *left_behind_;
    discipline_->continue_from({before.tsc0, before.ntp0, before.mult}, before.step_count, clock.tsc);
    state = discipline_->publish(clock.tsc);
  }
  left_behind_.reset();
  return state;
}

std::string GnssTime::why_not_better() const {
  if (discipline_->is_contradicted())
    return "a majority of the authenticated upstreams contradicts the receiver";
  if (!inputs_.trouble().empty()) return inputs_.trouble();
  if (const char* trouble = inputs_.phc_trouble()) return trouble;
  const hwclock::ReceiverDoubt doubt = inputs_.doubt(now_tick_);
  const std::string says = config_.gnss.gpsd ? "gpsd says: " : "";
  if (doubt != hwclock::ReceiverDoubt::none) return says + hwclock::sentence_of(doubt);
  if (discipline_->number().is_contradicted()) {
    return "the receiver names a second that is " + std::to_string(discipline_->number().contradiction_s()) +
           " s from ours";
  }
  const hwclock::NumberingDoubt numbering = discipline_->number().doubt();
  // Samples name their seconds themselves.
  const bool wants_numbers = config_.gnss.has_receiver() || inputs_.counters().pulses != 0;
  const bool lacks_numbers = wants_numbers && numbering != hwclock::NumberingDoubt::none;
  return lacks_numbers ? sentence_of(numbering) : "no pulses come that agree with the oscillator";
}

void GnssTime::fill(ClockReportReply& reply) const {
  const GnssCounters counters = inputs_.counters();
  const hwclock::Estimator& estimator = discipline_->estimator();
  reply.has_gnss = 1;
  reply.satellites = inputs_.receiver().satellites();
  reply.tai_minus_utc_s = state_.tai_minus_utc_s;
  reply.pulses = counters.pulses;
  reply.samples = counters.samples;
  reply.doubted = counters.doubted;
  reply.unplaced = counters.unplaced;
  reply.malformed = counters.malformed;
  reply.messages = counters.messages;
  reply.dropped_messages = counters.dropped_messages;
  reply.rollovers_repaired = inputs_.receiver().rollovers_repaired();
  reply.openings = counters.openings;
  reply.outliers = discipline_->outlier_count();
  reply.phc_steps = counters.phc_steps;
  reply.phc_unread = counters.phc_unread;
  reply.dropped_edges = counters.dropped_edges;
  if (estimator.accepted_count() == 0) return;
  reply.last_offset_ns = estimator.innovation_ns();
  // A tick that holds more true time is a slow counter's.
  reply.frequency_ppb = 1e9 - estimator.ns_per_tick(now_tick_) * tick_hz_;
  reply.drift_ppb_day = -estimator.drift_ppb_s() * 86'400.0;
  reply.white_ns = std::sqrt(estimator.noise().white_fm);
  reply.walk_ppb = std::sqrt(estimator.noise().walk_fm);
  reply.pulse_sigma_ns =
      discipline_policy(config_, state_.precision).pulse_sigma_ns * std::sqrt(estimator.measurement_scale());
}

// What we are locked to.
std::string GnssTime::reference() const {
  if (!config_.gnss.gpsd) return "the pulses";
  const std::string gpsd = "gpsd at " + config_.gnss.gpsd->text();
  if (config_.gnss.pulse.kind == PulseKind::gpsd) return "the pulses of " + gpsd;
  if (config_.gnss.pulse.kind == PulseKind::gpsd_messages) return "the messages of " + gpsd;
  return "the pulses, with the date from " + gpsd;
}

std::string GnssTime::sentence() const {
  if (left_behind_) {
    const std::string held = "holding over what an earlier run served";
    const bool is_learning = discipline_->state() == hwclock::State::warmup &&
                             !discipline_->is_contradicted() && inputs_.trouble().empty();
    return is_learning ? held + ", until the pulses have taught this one"
                       : held + "; this one has no time: " + why_not_better();
  }
  const std::string error = text_of_duration(
      static_cast<std::int64_t>(hwclock::dispersion_ns_at(state_, now_tick_) + state_.root_delay_ns / 2));
  switch (discipline_->state()) {
    case hwclock::State::locked:
      return "locked to " + reference() + ", good to " + error;
    case hwclock::State::holdover:
      return "holdover: " + why_not_better() + "; good to " + error + " and getting worse";
    case hwclock::State::warmup:
      if (discipline_->is_contradicted()) return std::string("not locking: ") + contradicted;
      if (memory_fate_ == hwclock::MemoryFate::on_trial || memory_fate_ == hwclock::MemoryFate::confirmed)
        return "warming up: the pulses are held against what is remembered of the oscillator";
      return "warming up: the pulses are numbered, the oscillator is being learned";
    case hwclock::State::alarm:
      return "alarm: " + why_not_better() + "; the time is served as unsynchronised";
    default:
      break;
  }
  return "unsynchronised: " + why_not_better();
}

}  // namespace control
