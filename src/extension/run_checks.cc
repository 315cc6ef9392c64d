#include "extension/run_checks.h"

#include "extension/expression.h"
#include "extension/set_values.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

#include <cmath>

namespace pgcleanup {

using pg::concat;

namespace {

std::int64_t count_up_to(const Eligibility& eligibility, Oid leaf, std::int64_t limit)
{
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    pg::Spi spi;
    return pg::to_int64(spi.run(concat("SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY ", pg::relation_name(leaf),
                                       " AS target WHERE ", eligibility.test(1), " LIMIT ", limit, ") AS eligible"),
                                parameters)[0][0]);
}

std::int64_t count_rows(Oid leaf)
{
    pg::Spi spi;
    return pg::to_int64(spi.run(concat("SELECT pg_catalog.count(*) FROM ONLY ", pg::relation_name(leaf)))[0][0]);
}

// Whether more than `limit` rows are eligible, without counting further.
bool exceeds(const Eligibility& eligibility, std::span<const Oid> leaves, std::int64_t limit)
{
    std::int64_t left = limit + 1;
    for (const Oid leaf : leaves) {
        left -= count_up_to(eligibility, leaf, left);
        if (left <= 0)
            return true;
    }
    return false;
}

} // namespace

void verify_meaning(const Policy& policy, Oid relation)
{
    if (policy.condition)
        verify_condition_under_current_path(relation, *policy.condition);
    if (!policy.set_values)
        return;
    for (const SetValue& value : parse_set_values(*policy.set_values))
        verify_value_under_current_path(relation, value.column, value.expression);
}

GuardResult evaluate_guard(const std::string& guard)
{
    std::string value;
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] {
        pg::Spi spi;
        value = spi.run(concat("SELECT (", guard, ")"))[0][0].value_or("NULL");
    });
    if (error)
        return {false, concat("its guard raised an error: ", error->fields().message)};
    if (value == "t")
        return {true, ""};
    return {false, concat("its guard is ", value == "f" ? "false" : "NULL", ": ", guard)};
}

std::optional<std::string> breaker_refusal(const Policy& policy, const Eligibility& eligibility,
                                           std::span<const Oid> leaves)
{
    if (policy.refuse_above_rows && exceeds(eligibility, leaves, *policy.refuse_above_rows))
        return concat("refused: more than ", *policy.refuse_above_rows,
                      " rows are eligible (refuse_above_rows); look at cleanup_dry_run, then run with force => true");
    if (!policy.refuse_above_fraction)
        return std::nullopt;
    std::int64_t rows = 0;
    for (const Oid leaf : leaves)
        rows += count_rows(leaf);
    const auto limit = static_cast<std::int64_t>(std::floor(static_cast<double>(rows) * *policy.refuse_above_fraction));
    if (rows > 0 && exceeds(eligibility, leaves, limit))
        return concat(
            "refused: more than ", limit, " of ", rows,
            " rows are eligible (refuse_above_fraction); look at cleanup_dry_run, then run with force => true");
    return std::nullopt;
}

} // namespace pgcleanup
