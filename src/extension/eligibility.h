// The one place that composes which rows are eligible.
//
// Every test is written over the alias `target`, and every value is a parameter. The same text is used by preview, dry
// run, collecting and deleting, so they cannot disagree.
#pragma once

#include "core/age_unit.h"
#include "extension/policy.h"

namespace pgcleanup {

// Rows are due when from <= age and age < to and age < cutoff; all fixed for a whole run.
struct AgeWindow {
    TimestampTz cutoff = 0;
    std::optional<TimestampTz> from;
    std::optional<TimestampTz> to;
};

class Eligibility {
public:
    // Resolves the age column of the policy's target; raises when it is not there or of another kind.
    Eligibility(const Policy& policy, const AgeWindow& window);

    AgeKind age_kind() const noexcept;
    // The quoted age column, or nothing for a policy without an age.
    const std::optional<std::string>& age_column() const noexcept;

    // How many parameters age_test() uses, all from `first` on, and their values in that order.
    int parameter_count() const noexcept;
    void add_parameters(pg::Parameters& parameters) const;

    // Tests of the bare column, so that an index on it serves: `target.created_at < $3 AND ...`; NULL, infinite and
    // future ages never pass, integers are positive, uuids are version 7. "true" for a policy without an age.
    std::string age_test(int first) const;
    // The canonical condition in parentheses, or "true".
    std::string condition() const;
    // Whether the newest rows of each group stay, so that what is due depends on other rows of the target.
    bool keeps_newest() const noexcept { return not_among_newest_.has_value(); }
    // All, so that a planner may use any index: `age_test AND (condition)`, and that the row is not one of the newest
    // that stay.
    std::string test(int first) const;
    // All, with the condition kept out of the join tree (`(condition) IS TRUE`): a delete by row id must stay one.
    std::string row_test(int first) const;

    // An expression of type timestamptz over `target`: the age of a row, for oldest, newest and preview. NULL without
    // age.
    std::string age_as_timestamp() const;
    // The type of the age column, below any domain: chunks of the index strategy compare raw values of it.
    Oid age_type() const noexcept;

private:
    // A bound of the age in the column's own type, as a value that outlives every memory context.
    struct Bound {
        std::int64_t number = 0;
        std::array<std::uint8_t, 16> uuid{};
    };
    void set_naive_bounds(const AgeWindow& window, TimestampTz before);
    void set_integer_bounds(const AgeWindow& window, TimestampTz before);
    void set_uuid_bounds(const AgeWindow& window, TimestampTz before);
    void add(pg::Parameters& parameters, const Bound& bound) const;
    std::string newest_test() const;

    std::optional<std::string> column_;
    AgeKind kind_ = AgeKind::none;
    Oid type_ = InvalidOid;
    core::AgeUnit unit_ = core::AgeUnit::s;
    std::string time_zone_;
    std::string condition_;
    std::optional<std::string> not_among_newest_;
    Bound lower_;
    Bound upper_;                                // exclusive
    std::vector<std::pair<Bound, Bound>> holes_; // between them, lower inclusive
    bool lower_is_inclusive_ = false;
};

// The cutoff of a run that starts at `start`: start - retain by the calendar of the policy's time zone. `retain`,
// interval text that replaces the policy's own, is checked like one. Raises when the result is after the start. A
// policy without an age has none.
std::optional<TimestampTz> cutoff_at(const Policy& policy, TimestampTz start, const std::optional<std::string>& retain);

} // namespace pgcleanup
