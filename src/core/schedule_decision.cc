#include "core/schedule_decision.h"

namespace pgcleanup::core {

namespace {

constexpr std::chrono::hours longest_step_back{24};

class Opening {
public:
    Opening(const std::optional<RunWindow>& window, const Zone& zone) : window_(window), zone_(zone) {}
    Instant at_or_after(Instant instant) const { return window_ ? window_opening(*window_, instant, zone_) : instant; }

private:
    const std::optional<RunWindow>& window_;
    const Zone& zone_;
};

Instant believable(Instant handled_until, Instant now)
{
    return handled_until > now + longest_step_back ? now : handled_until;
}

} // namespace

ScheduleDecision decide(const Recurrence& times, const std::optional<RunWindow>& window, const Zone& zone,
                        const ScheduleState& state, const ScheduleContext& context)
{
    const Opening opening(window, zone);
    ScheduleDecision decision;
    decision.handled_until = believable(state.handled_until, context.now);
    const std::int64_t passed = times.count(decision.handled_until, context.now);
    if (passed > 0) {
        const Instant latest = times.latest(context.now);
        // It could not start before its window opened, so until then nobody had to watch.
        if (context.catch_up || opening.at_or_after(latest) + grace >= context.watched_since) {
            decision.due = latest;
            decision.missed = passed - 1;
            decision.starts_at = opening.at_or_after(context.now);
            return decision;
        }
        decision.missed = passed;
        decision.handled_until = latest;
    }
    if (state.unfinished) {
        decision.starts_at = opening.at_or_after(context.now);
        return decision;
    }
    decision.due = times.next_after(std::max(decision.handled_until, context.now));
    decision.starts_at = opening.at_or_after(*decision.due);
    return decision;
}

} // namespace pgcleanup::core
