// Warnings about what an update would do.
#include "extension/expression.h"
#include "extension/warnings.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

bool has_trigger_before_update(Oid leaf)
{
    return pg::pg_call([&] {
        Relation table = table_open(leaf, AccessShareLock);
        const bool found = table->trigdesc != nullptr && table->trigdesc->trig_update_before_row;
        table_close(table, NoLock);
        return found;
    });
}

bool is_generated(Oid relation, AttrNumber column)
{
    return pg::pg_call([&] {
        HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(column));
        if (!HeapTupleIsValid(tuple))
            return false;
        const bool generated = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attgenerated != '\0';
        ReleaseSysCache(tuple);
        return generated;
    });
}

bool reads_generated_columns(const Policy& policy)
{
    if (policy.age_column &&
        is_generated(policy.target, pg::pg_call([&] { return get_attnum(policy.target, policy.age_column->c_str()); })))
        return true;
    if (!policy.condition)
        return false;
    const ExpressionTree condition = read_canonical_condition(policy.target, *policy.condition);
    for (int member = -1; (member = bms_next_member(condition.target_columns, member)) >= 0;) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        if (number > 0 && is_generated(policy.target, static_cast<AttrNumber>(number)))
            return true;
    }
    return false;
}

std::int64_t count_due_again(pg::Spi& spi, const DryRunFacts& facts, Oid leaf)
{
    const Eligibility& again = facts.update->again();
    const int run = 1 + facts.eligibility.parameter_count();
    pg::Parameters parameters;
    facts.eligibility.add_parameters(parameters);
    facts.update->add_parameters(parameters);
    again.add_parameters(parameters);
    const std::string sql =
        concat("SELECT pg_catalog.count(*) FROM (", facts.update->select_changed(leaf), " FROM ONLY ",
               pg::relation_name(leaf), " AS target, ", facts.update->run_row(run), " WHERE ",
               facts.eligibility.test(1), ") AS target WHERE ", again.row_test(run + RowUpdate::parameter_count));
    return pg::to_int64(spi.run(sql, parameters, pg::Access::read_only)[0][0]);
}

} // namespace

void warn_of_endless_update(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    // What triggers and generated columns make of a row is for the run to see.
    if (facts.update == nullptr || reads_generated_columns(facts.policy))
        return;
    std::int64_t rows = 0;
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] {
        for (const Oid leaf : facts.leaves)
            if (!has_trigger_before_update(leaf))
                rows += count_due_again(spi, facts, leaf);
    });
    if (error)
        list.push_back(concat("The new values cannot be computed, and a run would fail: ", error->fields().message));
    else if (rows > 0)
        list.push_back(
            concat(rows, rows == 1 ? " row" : " rows",
                   " would be due again after the update, and a run would fail: let set_values change what the"
                   " condition tests."));
}

} // namespace pgcleanup
