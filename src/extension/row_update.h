// What an update does to a row, as parts of statements over the alias `target`.
#pragma once

#include "extension/eligibility.h"
#include "extension/expression_tree.h"
#include "extension/set_values.h"

namespace pgcleanup {

class RowUpdate {
public:
    // For a policy whose action is update. `cutoff`: nothing for a policy without an age. `retain`: interval text, of
    // the run. Resolves the age column; raises as Eligibility.
    RowUpdate(const Policy& policy, TimestampTz start, std::optional<TimestampTz> cutoff,
              std::optional<std::string> retain);

    // The values of the run, for FROM: a row `run` of parameters from `first` on, which add_parameters() adds.
    std::string run_row(int first) const;
    static constexpr int parameter_count = static_cast<int>(run_values.size());
    void add_parameters(pg::Parameters& parameters) const;

    // For SET, over `target` and `run`.
    std::string assignments() const;
    // Over `target` (a row of `relation`) and `run`: the new values, cast to their columns' types, as an object of type
    // jsonb.
    std::string new_values(Oid relation) const;
    // A query over `target` and `run`, without its FROM: the row of `relation` as the update makes it, under the names
    // of its columns, with tableoid and ctid of the row that it is made of. What triggers and generated columns would
    // make of it is not in it.
    std::string select_changed(Oid relation) const;

    // Which rows a run would take a minute after this one began, whatever part of them this one takes. A row that
    // passes after it was updated would be updated again and again.
    const Eligibility& again() const noexcept { return again_; }

private:
    std::string policy_;
    std::optional<TimestampTz> cutoff_;
    std::optional<std::string> retain_;
    std::vector<SetValue> values_;
    Eligibility again_;
};

} // namespace pgcleanup
