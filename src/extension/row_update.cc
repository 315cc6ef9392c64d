#include "extension/row_update.h"

#include "extension/later_condition.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// An age that is set to the cutoff, or to now where rows are due at once, is past the next run's cutoff.
constexpr TimestampTz margin = USECS_PER_MINUTE;

// So is a time that the condition compares with now().
Policy later(Policy policy)
{
    if (policy.condition)
        policy.condition = condition_later(policy.target, *policy.condition, margin);
    return policy;
}

Datum interval_value(const std::string& text)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    return pg::input_value(text, INTERVALOID);
}

// As a cast in SQL, below any domain: a row that one refuses stays alone in a run. Where a length would cut off what an
// assignment refuses, it is left out.
const char* pg_cast_type(Oid relation, const char* column)
{
    Oid type = InvalidOid;
    int32 modifier = -1;
    Oid collation = InvalidOid;
    get_atttypetypmodcoll(relation, get_attnum(relation, column), &type, &modifier, &collation);
    type = getBaseTypeAndTypmod(type, &modifier);
    if (type == VARCHAROID || type == BPCHAROID || type == BITOID || type == VARBITOID)
        modifier = -1;
    const char* name = format_type_extended(type, modifier, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
    // Without a length these two are not their bare names, which mean a length of one.
    return type == BPCHAROID ? "pg_catalog.bpchar" : type == BITOID ? "pg_catalog.varbit" : name;
}

std::string cast_value(const SetValue& value, Oid relation)
{
    const char* type = pg::pg_call([&] { return pg_cast_type(relation, value.column.c_str()); });
    return concat("(", value.expression, ")::", type);
}

// The names of a table's columns, in order.
std::vector<std::string> columns_of(Oid relation)
{
    List* names = pg::pg_call([&] {
        Relation table = table_open(relation, AccessShareLock);
        List* all = NIL;
        for (int i = 0; i < RelationGetDescr(table)->natts; ++i) {
            const FormData_pg_attribute* attribute = TupleDescAttr(RelationGetDescr(table), i);
            if (!attribute->attisdropped)
                all = lappend(all, pstrdup(NameStr(attribute->attname)));
        }
        table_close(table, NoLock);
        return all;
    });
    std::vector<std::string> columns;
    columns.reserve(list_length(names));
    for (int i = 0; i < list_length(names); ++i)
        columns.emplace_back(static_cast<const char*>(list_nth(names, i)));
    return columns;
}

} // namespace

RowUpdate::RowUpdate(const Policy& policy, TimestampTz start, std::optional<TimestampTz> cutoff,
                     std::optional<std::string> retain)
    : policy_(policy.name), cutoff_(cutoff), retain_(std::move(retain)),
      values_(parse_set_values(policy.set_values.value_or(""))),
      again_(later(policy), {cutoff.value_or(start) + margin, {}, {}})
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

std::string RowUpdate::new_values(Oid relation) const
{
    // A function takes a hundred arguments.
    constexpr std::size_t most_pairs = FUNC_MAX_ARGS / 2;
    std::string objects;
    for (std::size_t n = 0; n < values_.size(); ++n) {
        objects += n % most_pairs != 0 ? ", "
                   : n == 0            ? "pg_catalog.jsonb_build_object("
                                       : ") OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(";
        objects += concat(pg::quote_literal(values_[n].column), ", ", cast_value(values_[n], relation));
    }
    return concat("(", objects, "))");
}

std::string RowUpdate::select_changed(Oid relation) const
{
    std::string list = "SELECT target.tableoid, target.ctid";
    for (const std::string& column : columns_of(relation)) {
        const std::string name = pg::quote_identifier(column);
        const auto set = std::ranges::find(values_, column, &SetValue::column);
        list += concat(", ", set == values_.end() ? concat("target.", name) : cast_value(*set, relation), " AS ", name);
    }
    return list;
}

} // namespace pgcleanup
