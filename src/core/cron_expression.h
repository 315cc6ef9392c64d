#pragma once

#include "core/wall_clock.h"

#include <bitset>
#include <optional>
#include <string_view>

namespace pgcleanup::core {

// When a schedule of pg_cron fires: five fields (minute, hour, day of the month, month, day of the week), with lists,
// ranges, steps and English names; @hourly and its kin; '$' as the last day of the month; '30 seconds'. Of the two
// fields for days both must fit if one begins with '*', else one of them, as in cron. Times that the clock of the zone
// skips do not come; those that it shows twice come twice.
class CronExpression {
public:
    // Nothing for what is no such schedule, and for '@reboot'.
    static std::optional<CronExpression> parse(std::string_view text);

    // The first time later than `after`; nothing when none comes within ten years ('0 0 30 2 *'). With seconds, the
    // moment that long after `after`: when pg_cron began to count is not known.
    std::optional<Instant> next_after(Instant after, const Zone& zone) const;

private:
    static std::optional<CronExpression> parse_fields(std::string_view text);
    bool fits_day(std::chrono::local_days day) const;

    std::chrono::seconds period_{0}; // 0: by the fields
    std::bitset<60> minutes_;
    std::bitset<24> hours_;
    std::bitset<32> days_;
    std::bitset<13> months_;
    std::bitset<8> weekdays_; // 0: Sunday
    bool last_day_ = false;
    bool both_days_ = false;
};

} // namespace pgcleanup::core
