#include "bench/clock_draw.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace bench {
namespace {

// More points than pixels only make the file large: of each column the largest error, the largest bound and
// the last state are drawn, so that no peak is lost.
constexpr std::size_t columns = 1500;
constexpr double least_ns = 0.1;  // what a logarithmic axis can show

struct Column {
  double second = 0.0;
  double error_ns = 0.0;
  double bound_ns = 0.0;
  bool is_promised = false;
  hwclock::State state = hwclock::State::unsync;
};

std::vector<Column> columns_of(const Drawing& drawing, const std::vector<sim::Sample>& trace) {
  std::vector<const sim::Sample*> seen;
  for (const sim::Sample& sample : trace) {
    if (sample.second >= drawing.from_s && sample.second <= drawing.to_s) seen.push_back(&sample);
  }
  const std::size_t width = std::max<std::size_t>(1, (seen.size() + columns - 1) / columns);
  std::vector<Column> all;
  for (std::size_t i = 0; i < seen.size(); i += width) {
    Column column{.second = static_cast<double>(seen[i]->second)};
    for (std::size_t j = i; j < std::min(i + width, seen.size()); ++j) {
      column.error_ns = std::max(column.error_ns, std::fabs(seen[j]->error_ns));
      column.bound_ns = std::max(column.bound_ns, seen[j]->bound_ns);
      column.is_promised = seen[j]->leap != 3;
      column.state = seen[j]->state;
    }
    all.push_back(column);
  }
  return all;
}

struct Band {
  hwclock::State state;
  const char* name;
  const char* colour;
};
constexpr Band bands[] = {
    {hwclock::State::unsync, "unsync", "#dddddd"},     {hwclock::State::warmup, "warmup", "#fff2b3"},
    {hwclock::State::locked, "locked", "#e4f4e4"},     {hwclock::State::holdover, "holdover", "#dbe9fb"},
    {hwclock::State::fallback, "fallback", "#eadcf7"}, {hwclock::State::alarm, "alarm", "#fbd9d9"}};

}  // namespace

std::string draw(const Drawing& drawing, const std::vector<sim::Sample>& trace) {
  const std::vector<Column> all = columns_of(drawing, trace);
  if (all.empty()) return "there is nothing between --from and --to";
  if (drawing.file.find_first_of("'\n") != std::string::npos) return "the file's name holds a quote";
  const bool in_hours = all.back().second - all.front().second > 3.0 * 3600.0;
  const double unit_s = in_hours ? 3600.0 : 1.0;
  double most_ns = 1.0;
  for (const Column& column : all) {
    if (column.is_promised) most_ns = std::max({most_ns, column.error_ns, column.bound_ns});
  }

  // Exits with 127 when there is no gnuplot; what it says goes to standard error.
  std::FILE* plot = popen("gnuplot", "w");  // NOLINT: the command is a constant
  if (plot == nullptr) return "gnuplot cannot be started";
  std::fprintf(plot,
               "set terminal svg size 1200,600 background 'white' font 'sans-serif,14'\n"
               "set output '%s'\n"
               "set title '%s: how far off it was, and how far off it said it might be' noenhanced\n"
               "set logscale y 10\nset yrange [%g:%g]\nset ylabel 'nanoseconds'\nset format y '%%g'\n"
               "set xlabel '%s'\nset xrange [%g:%g]\nset grid ytics lc rgb '#bbbbbb'\n"
               "set key outside below horizontal\n",
               drawing.file.c_str(), drawing.title.c_str(), least_ns, most_ns * 3.0,
               in_hours ? "hours" : "seconds", all.front().second / unit_s,
               std::max(all.back().second, all.front().second + 1.0) / unit_s);
  int objects = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i;
    while (end < all.size() && all[end].state == all[i].state) ++end;
    for (const Band& band : bands) {
      if (band.state != all[i].state) continue;
      std::fprintf(plot,
                   "set object %d rectangle from first %g, graph 0 to first %g, graph 1 behind "
                   "fillcolor rgb '%s' fillstyle solid noborder\n",
                   ++objects, all[i].second / unit_s, all[std::min(end, all.size() - 1)].second / unit_s,
                   band.colour);
    }
    i = end;
  }
  std::fprintf(plot,
               "plot '-' using 1:2 with lines lc rgb '#c03030' lw 1 title 'true error (largest in each "
               "column)', '-' using 1:2 with lines lc rgb '#2050a0' lw 2 title 'advertised bound'");
  for (const Band& band : bands) {
    const bool is_seen =
        std::any_of(all.begin(), all.end(), [&](const Column& one) { return one.state == band.state; });
    if (is_seen)
      std::fprintf(plot, ", NaN with boxes fillstyle solid lc rgb '%s' title '%s'", band.colour, band.name);
  }
  std::fprintf(plot, "\n");
  for (const double Column::*value : {&Column::error_ns, &Column::bound_ns}) {
    for (const Column& column : all) {
      // A clock that promises nothing has no bound, and its error is nobody's business.
      if (column.is_promised) {
        std::fprintf(plot, "%g %g\n", column.second / unit_s, std::max(least_ns, column.*value));
      } else {
        std::fprintf(plot, "\n");
      }
    }
    std::fprintf(plot, "e\n");
  }
  const int status = pclose(plot);
  return status == 0 ? "" : "gnuplot did not draw it (apt-get install gnuplot-nox)";
}

}  // namespace bench
