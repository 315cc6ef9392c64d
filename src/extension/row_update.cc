#include "extension/row_update.h"

#include "pg/settings_scope.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// An age that is set to the cutoff, or to now where rows are due at once, is past the next run's cutoff.
constexpr TimestampTz margin = USECS_PER_MINUTE;

Datum interval_value(const std::string& text)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    return pg::input_value(text, INTERVALOID);
}

} // namespace

RowUpdate::RowUpdate(const Policy& policy, TimestampTz start, std::optional<TimestampTz> cutoff,
                     const std::optional<std::string>& retain)
    : policy_(policy.name), cutoff_(cutoff), retain_(retain), values_(parse_set_values(policy.set_values.value_or(""))),
      again_(policy, {cutoff.value_or(start) + margin, {}, {}})
{
}

std::string RowUpdate::run_row(int first) const
{
    std::string columns;
    for (const RunValue& value : run_values)
        columns += concat(columns.empty() ? "" : ", ", "$", first++, " AS ", value.name);
    return concat("(SELECT ", columns, ") AS ", run_alias);
}

void RowUpdate::add_parameters(pg::Parameters& parameters) const
{
    parameters.timestamp(cutoff_);
    parameters.value(INTERVALOID, retain_ ? interval_value(*retain_) : 0, !retain_.has_value());
    parameters.text(policy_);
}

std::string RowUpdate::assignments() const
{
    std::string list;
    for (const SetValue& value : values_)
        list += concat(list.empty() ? "" : ", ", pg::quote_identifier(value.column), " = (", value.expression, ")");
    return list;
}

} // namespace pgcleanup
