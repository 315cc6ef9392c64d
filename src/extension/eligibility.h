// The one place that composes which rows are eligible.
//
// Every test is written over the alias `target`, and every value is a parameter. The same text is used by preview, dry
// run, collecting and deleting, so they cannot disagree.
#pragma once

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

    // Tests of the bare column, so that an index on it serves: `target.created_at < $3 AND ...`; NULL, infinite and future
    // ages never pass, integers are positive, uuids are version 7. "true" for a policy without an age.
    std::string age_test(int first) const;
    // The canonical condition in parentheses, or "true".
    std::string condition() const;
    // Both, so that a planner may use any index: `age_test AND (condition)`.
    std::string test(int first) const;
    // Both, with the condition kept out of the join tree (`(condition) IS TRUE`): a delete by row id must stay one.
    std::string row_test(int first) const;

    // An expression of type timestamptz over `target`: the age of a row, for oldest, newest and preview. NULL without age.
    std::string age_as_timestamp() const;
    // The value of the age column in `text` (as its type prints it) as timestamptz is what the above is for; chunks of the
    // index strategy compare raw values: the type of the age column.
    Oid age_type() const noexcept;

private:
    std::optional<std::string> column_;
    AgeKind kind_ = AgeKind::none;
    Oid type_ = InvalidOid;
    std::string unit_;
    std::string time_zone_;
    std::string condition_;
    std::vector<std::pair<Oid, Datum>> values_;
    bool has_from_ = false;
};

// The cutoff of a run that starts at `start`: start - retain in the policy's time zone; `retain` in interval text. Raises
// when the result is after the start. A policy without an age has none.
std::optional<TimestampTz> cutoff_at(const Policy& policy, TimestampTz start, const std::optional<std::string>& retain);

} // namespace pgcleanup
