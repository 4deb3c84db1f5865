// The inputs of source "gnss" as one ordered stream: pulses, samples and times of day, each at its tick.
//
// What arrives late or out of order is waited for a quarter of a second and handed on by its tick: a
// receiver's message may be read before the pulse that it speaks of. A device that is not there, or goes, is
// opened again every few seconds and said once; nothing here ever blocks. What cannot be placed in time, or
// comes when a later one has been handed on, is counted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/descriptor.h"
#include "control/gpsd_input.h"
#include "control/log.h"
#include "control/phc_input.h"
#include "hwclock/chrony_sock.h"
#include "hwclock/discipline.h"
#include "hwclock/kernel_pps.h"
#include "hwclock/leap_table.h"
#include "hwclock/ntp_shm.h"
#include "hwclock/receiver.h"
#include "hwclock/stamps.h"

namespace control {

struct GnssCounters {
  std::uint64_t pulses = 0;     // handed to the discipline
  std::uint64_t samples = 0;    // that named their seconds themselves
  std::uint64_t doubted = 0;    // pulses that the receiver, and samples that the NIC, does not vouch for
  std::uint64_t unplaced = 0;   // stamps of a clock that was set, too old or from the future
  std::uint64_t malformed = 0;  // datagrams that are no samples
  std::uint64_t messages = 0;   // of the receiver, that told a time
  std::uint64_t dropped_messages = 0;  // that could not be read
  std::uint64_t phc_steps = 0;         // of a NIC's clock: it was set, or stood still
  std::uint64_t phc_unread = 0;        // it could not be read, or not well enough
  std::uint64_t dropped_edges = 0;     // on its pins, that begin no second
  std::uint64_t openings = 0;          // of devices; more than there are devices: something comes and goes
};

class GnssInputs {
 public:
  // Opens nothing yet. `leaps` and `config` outlive this.
  GnssInputs(const Config::Gnss& config, std::uint64_t tick_hz, const hwclock::LeapTable& leaps,
             std::int64_t known_good_utc_s);

  // Opens what is not open and due for a try.
  void open_missing();

  // The receiver's descriptor or gpsd's, to wait for; -1 while there is none.
  [[nodiscard]] int receiver_fd() const noexcept { return gpsd_ ? gpsd_->fd() : receiver_line_.get(); }

  // Reads what the receiver has said until `tick`, which is now. Call when its descriptor is readable.
  void read_receiver(std::uint64_t tick);

  // What somebody else than a receiver says of a pulse that it follows. It waits its turn behind that pulse.
  void take_time_of_day(const hwclock::TimeOfDay& time_of_day) {
    add({time_of_day.tick, Kind::time_of_day, time_of_day, {}, 0.0});
  }

  // Looks at everything else, and hands what is old enough to `discipline`, in the order of ticks. `clock` is
  // a reading of CLOCK_REALTIME just made.
  void look(const hwclock::Reading& clock, hwclock::Discipline& discipline);

  [[nodiscard]] const hwclock::Receiver& receiver() const noexcept { return receiver_; }
  [[nodiscard]] GnssCounters counters() const noexcept;
  // Why the pulses are not used; none when they are.
  [[nodiscard]] hwclock::ReceiverDoubt doubt(std::uint64_t tick) const noexcept;
  // Why the NIC's clock tells no time at the moment; null when it does, or is no input.
  [[nodiscard]] const char* phc_trouble() const noexcept {
    return phc_trouble_ != PhcTrouble::none ? sentence_of(phc_trouble_) : nullptr;
  }
  // One sentence on devices that cannot be opened; empty when all are.
  [[nodiscard]] const std::string& trouble() const noexcept {
    return trouble_.empty() && gpsd_ ? gpsd_->trouble() : trouble_;
  }

 private:
  enum class Kind : std::uint8_t { pulse, sample, time_of_day };
  struct Event {
    std::uint64_t tick;
    Kind kind;
    hwclock::TimeOfDay time_of_day;  // of that kind
    hwclock::TaiTime reference;      // of a sample
    double sigma_ns;
  };

  void open_receiver();
  void open_pulse();
  void read_gpsd(std::uint64_t tick);
  void take_gpsd(const hwclock::GpsdOffset& offset, std::uint64_t tick);
  void take_gpsd(const hwclock::GpsdPulse& pulse, std::uint64_t tick);
  void look_at_pps();
  void look_at_sock();
  void look_at_shm();
  void look_at_phc(const hwclock::Reading& clock);
  void lose_pulse_input();
  void add_pulse(std::int64_t clock_ns, double sigma_ns = 0.0);
  void add_sample(std::int64_t clock_ns, std::int64_t reference_utc_ns);
  [[nodiscard]] std::int64_t tai_ns_of(std::int64_t utc_ns) const;
  void add(const Event& event);
  void hand_on(const Event& event, hwclock::Discipline& discipline);
  [[nodiscard]] bool has_receiver() const noexcept { return config_.has_receiver(); }

  const Config::Gnss& config_;
  const hwclock::LeapTable& leaps_;
  std::int64_t known_good_utc_s_;
  double tick_hz_;
  hwclock::Receiver receiver_;
  hwclock::Stamps stamps_;
  Descriptor receiver_line_;
  std::unique_ptr<GpsdInput> gpsd_;
  hwclock::GpsdDevices gpsd_receivers_;
  hwclock::GpsdDevices gpsd_edges_;
  std::uint64_t gpsd_offset_tick_ = 0;  // when it last said when a message came
  double gpsd_error_ns_ = 0.0;          // of its last edge, as it says
  Descriptor pulse_;
  hwclock::ShmTime* shm_ = nullptr;
  std::unique_ptr<PhcInput> phc_;
  std::vector<PhcEvent> phc_events_;  // of one look
  PhcCounters phc_before_;            // of the device's earlier openings
  PhcTrouble phc_trouble_ = PhcTrouble::none;
  std::uint32_t pps_sequence_ = 0;
  bool is_impossible_ = false;  // the last sample's date
  std::vector<Event> waiting_;  // by tick; of bounded size
  std::uint64_t handed_tick_ = 0;
  GnssCounters counters_;
  std::string trouble_;
  std::uint64_t next_try_tick_ = 0;
  LogLimit trouble_log_;
};

}  // namespace control
