#include "extension/expression.h"

#include "pg/subtransaction.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// Which expression is spoken of.
struct Subject {
    std::string word;      // for messages
    ExpressionPlace place; // without a relation: a guard
    const std::string& text;

    bool is_value() const noexcept { return place.assigned != InvalidAttrNumber; }
};

Subject condition_of(Oid relation, const std::string& text)
{
    return {"condition", {relation}, text};
}

Subject guard_of(const std::string& text)
{
    return {"guard", {}, text};
}

Subject value_of(Oid relation, const std::string& column, const std::string& text)
{
    const AttrNumber number = pg::pg_call([&] { return get_attnum(relation, column.c_str()); });
    if (number <= 0)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_COLUMN,
                   .message = concat("column \"", column, "\" of ", pg::relation_name(relation), " does not exist")});
    return {concat("value for \"", column, '"'), {relation, number}, text};
}

// How the parser's errors are told.

std::string one_row_at_a_time(const Subject& subject, const char* what)
{
    return concat("It is ", subject.is_value() ? "computed" : "tested", " for one row at a time: ", what,
                  " a sub-select.");
}

std::string better_hint(const pg::PgError& error, const Subject& subject)
{
    switch (error.sqlstate()) {
    case ERRCODE_GROUPING_ERROR:
        return one_row_at_a_time(subject, "put the aggregate into");
    case ERRCODE_WINDOWING_ERROR:
        return one_row_at_a_time(subject, "put the window function into");
    case ERRCODE_FEATURE_NOT_SUPPORTED:
        return one_row_at_a_time(subject, "what yields several rows belongs into");
    case ERRCODE_SYNTAX_ERROR:
        return subject.is_value() ? "Write one expression, as after = in SET."
                                  : "Write one boolean expression, as after WHERE.";
    case ERRCODE_UNDEFINED_COLUMN:
        if (subject.is_value())
            return "The JSON string is the text of an expression: a word that is meant as text needs quotes in it, as "
                   "in "
                   "{\"status\": \"'closed'\"}.";
        return OidIsValid(subject.place.relation) ? ""
                                                  : "A guard has no row to look at: it reads tables by sub-selects.";
    case ERRCODE_AMBIGUOUS_COLUMN:
        return subject.is_value() ? "Write target.name for a column of the table, run.name for a value of the run."
                                  : "";
    case ERRCODE_AMBIGUOUS_ALIAS:
        return subject.is_value() ? "Write target.name for a column of the table: run is what the run's values go by."
                                  : "";
    case ERRCODE_UNDEFINED_PARAMETER:
        return "There are no parameters here: write the value.";
    default:
        return "";
    }
}

// The parser's error, told about the text that it is about instead of the statement that is running.
[[noreturn]] void raise_about(const pg::PgError& error, const Subject& subject)
{
    pg::ErrorFields fields = error.fields();
    if (fields.cursor_position > 0) {
        fields.internal_query = subject.text;
        fields.internal_position = fields.cursor_position;
        fields.cursor_position = 0;
    }
    // An error of the parser itself has no context; one of code that it ran speaks of something else. A guess at what
    // was meant does not say that text needs quotes.
    const bool is_guess = error.sqlstate() == ERRCODE_UNDEFINED_COLUMN && subject.is_value();
    if ((fields.hint.empty() || is_guess) && fields.context.empty())
        fields.hint = concat(fields.hint, fields.hint.empty() ? "" : " ", better_hint(error, subject));
    const std::string context = concat(subject.word, " of a policy: ", subject.text);
    fields.context = fields.context.empty() ? context : concat(fields.context, "\n", context);
    throw pg::PgError(std::move(fields), error.from_postgres());
}

[[noreturn]] void refuse(const Subject& subject, int sqlstate, std::string_view what, std::string hint)
{
    pg::raise({.sqlstate = sqlstate,
               .message = concat("the ", subject.word, " of a policy ", what),
               .detail = concat("The ", subject.word, " is: ", subject.text),
               .hint = std::move(hint)});
}

// What an expression may not have.

std::string function_name(Oid function)
{
    const char* name = pg::pg_call([&] { return format_procedure(function); });
    return name;
}

ExpressionUses uses_of(const ExpressionTree& expression, Oid relation)
{
    ExpressionUses uses{};
    pg::pg_call([&] { pg_collect_uses(expression, relation, &uses); });
    return uses;
}

void check_functions(const ExpressionUses& uses, const Subject& subject)
{
    constexpr int state = ERRCODE_FEATURE_NOT_SUPPORTED;
    if (OidIsValid(uses.volatile_function))
        refuse(
            subject, state, concat("must not call the volatile function ", function_name(uses.volatile_function)),
            concat(subject.is_value() ? "What is set" : "What is due",
                   " must not change from one look to the next: use a STABLE or IMMUTABLE function, such as now()."));
    if (uses.takes_number)
        refuse(subject, state, "must not take a number of a sequence", "");
    if (uses.samples)
        refuse(subject, state, "must not use TABLESAMPLE", "It yields other rows at each look.");
    if (uses.locks_or_writes)
        refuse(subject, state, "must not lock or change rows", "Leave out FOR UPDATE and its like.");
    if (OidIsValid(uses.temporary_relation))
        refuse(subject, ERRCODE_WRONG_OBJECT_TYPE,
               concat("must not use the temporary relation ", pg::relation_name(uses.temporary_relation)),
               "Workers do not see it.");
}

void check_target_columns(const ExpressionTree& expression, const Subject& subject)
{
    int column = -1;
    while ((column = bms_next_member(expression.target_columns, column)) >= 0) {
        const int number = column + FirstLowInvalidHeapAttributeNumber;
        if (number > 0 || number == TableOidAttributeNumber)
            continue;
        if (number == InvalidAttrNumber)
            refuse(subject, ERRCODE_FEATURE_NOT_SUPPORTED, "must not use the whole row",
                   "A new column would change its meaning: name the columns.");
        refuse(subject, ERRCODE_FEATURE_NOT_SUPPORTED, "must not use a system column",
               "Where a row is stored and by whom it was written says nothing that lasts. tableoid may be used.");
    }
}

void check_rules(const ExpressionTree& expression, const Subject& subject)
{
    if (expression.frozen_literal != nullptr)
        refuse(subject, ERRCODE_FEATURE_NOT_SUPPORTED,
               concat("must not contain the literal '", expression.frozen_literal, "'"),
               "It would stay what it is now, when the policy is made: use now() or current_date.");
    check_target_columns(expression, subject);
    if (expression.uses_whole_run)
        refuse(subject, ERRCODE_FEATURE_NOT_SUPPORTED, "must not use the whole row of the run's values",
               "Name one of them: run.cutoff, run.retain, run.policy.");
    check_functions(uses_of(expression, subject.place.relation), subject);
}

// Reading text.

ExpressionTree parse(const Subject& subject, const char* alias)
{
    return pg::pg_call([&] { return pg_parse_expression(subject.text.c_str(), subject.place, alias); });
}

// By the table's own name, or else by the name that canonical text uses.
ExpressionTree parse_by_any_name(const Subject& subject)
{
    ExpressionTree expression{};
    const std::optional<pg::PgError> by_own_name =
        pg::try_in_subtransaction([&] { expression = parse(subject, nullptr); });
    if (!by_own_name)
        return expression;
    if (by_own_name->sqlstate() != ERRCODE_UNDEFINED_TABLE || !OidIsValid(subject.place.relation))
        raise_about(*by_own_name, subject);
    try {
        return parse(subject, "target");
    } catch (const pg::PgError& by_alias) {
        raise_about(by_alias.sqlstate() == ERRCODE_UNDEFINED_TABLE ? *by_own_name : by_alias, subject);
    }
}

ExpressionTree parse_canonical(const Subject& subject)
{
    try {
        return parse(subject, "target");
    } catch (const pg::PgError& error) {
        raise_about(error, subject);
    }
}

bool same(const ExpressionTree& left, const ExpressionTree& right)
{
    return pg::pg_call([&] { return pg_same_expression(left, right); });
}

constexpr const char* loses_operator =
    "IS DISTINCT FROM, NULLIF, CASE x WHEN ... and JOIN ... USING cannot say which operator they use when it is not "
    "one of "
    "pg_catalog (citext, for one): write the comparison out, e.g. CASE WHEN x = ... or x <> ... OR x IS NULL.";

// What is stored must be read again as the very tree that was checked. Returns what it was read as.
ExpressionTree check_survives(const ExpressionTree& original, const std::string& canonical, const Subject& subject)
{
    const Subject again{subject.word, subject.place, canonical};
    ExpressionTree reread{};
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] { reread = parse(again, "target"); });
    if (!error && same(original, reread))
        return reread;
    pg::raise({.sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED,
               .message = concat("the ", subject.word, " of a policy would not keep its meaning when it is stored"),
               .detail = error ? concat("It would be stored as ", canonical, ", which is: ", error->fields().message)
                               : concat("It would be stored as ", canonical, ", which means something else."),
               .hint = loses_operator});
}

std::string print(const ExpressionTree& expression, const ExpressionPlace& place)
{
    return pg::pg_call([&] { return pg_print_expression(expression, place); });
}

constexpr int most_rounds = 4;

std::string canonical_text(const ExpressionTree& expression, const Subject& subject)
{
    const CanonicalSettings settings;
    std::string canonical = print(expression, subject.place);
    // PostgreSQL may print what it read of its own text in other words: only what stays the same is canonical, or a
    // dump would come back as something else.
    for (int round = 0; round < most_rounds; ++round) {
        const ExpressionTree reread = check_survives(expression, canonical, subject);
        const std::string printed_again = print(reread, subject.place);
        if (printed_again == canonical)
            break;
        canonical = printed_again;
    }
    return canonical;
}

std::string canonical_expression(const Subject& subject)
{
    const ExpressionTree expression = parse_by_any_name(subject);
    check_rules(expression, subject);
    return canonical_text(expression, subject);
}

ExpressionTree read_canonical(const Subject& subject)
{
    const CanonicalSettings settings;
    const ExpressionTree expression = parse_canonical(subject);
    check_rules(expression, subject);
    return expression;
}

std::string adopted_expression(const Subject& subject)
{
    ExpressionTree as_canonical{};
    const std::optional<pg::PgError> not_canonical =
        pg::try_in_subtransaction([&] { as_canonical = read_canonical(subject); });
    if (not_canonical)
        return canonical_expression(subject);
    ExpressionTree as_written{};
    const std::optional<pg::PgError> unreadable =
        pg::try_in_subtransaction([&] { as_written = parse_by_any_name(subject); });
    if (!unreadable && !same(as_canonical, as_written))
        refuse(subject, ERRCODE_AMBIGUOUS_FUNCTION, "means something else under the current search_path",
               "Set search_path to pg_catalog for stored text as it was exported; or make the policy with "
               "cleanup_add_policy.");
    return canonical_text(as_canonical, subject);
}

void verify_under_current_path(const Subject& subject)
{
    const ExpressionTree expected = read_canonical(subject);
    const ExpressionTree actual = parse_canonical(subject);
    if (same(expected, actual))
        return;
    refuse(subject, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
           "means something else under the search_path of the table's owner",
           "Something in a schema of his search_path stands before an operator, function or type of pg_catalog.");
}

} // namespace

CanonicalSettings::CanonicalSettings()
{
    settings_.set(pg::language_settings());
    settings_.set("search_path", "pg_catalog, pg_temp");
    settings_.set("TimeZone", "UTC");
    settings_.set("lc_monetary", "C");
}

std::string canonical_condition(Oid target, const std::string& text)
{
    return canonical_expression(condition_of(target, text));
}

std::string canonical_guard(const std::string& text)
{
    return canonical_expression(guard_of(text));
}

std::string canonical_value(Oid target, const std::string& column, const std::string& text)
{
    return canonical_expression(value_of(target, column, text));
}

ExpressionTree read_canonical_condition(Oid relation, const std::string& canonical)
{
    return read_canonical(condition_of(relation, canonical));
}

ExpressionTree read_canonical_guard(const std::string& canonical)
{
    return read_canonical(guard_of(canonical));
}

ExpressionTree read_canonical_value(Oid relation, const std::string& column, const std::string& canonical)
{
    return read_canonical(value_of(relation, column, canonical));
}

void verify_condition_under_current_path(Oid relation, const std::string& canonical)
{
    verify_under_current_path(condition_of(relation, canonical));
}

void verify_guard_under_current_path(const std::string& canonical)
{
    verify_under_current_path(guard_of(canonical));
}

void verify_value_under_current_path(Oid relation, const std::string& column, const std::string& canonical)
{
    verify_under_current_path(value_of(relation, column, canonical));
}

std::string adopted_condition(Oid target, const std::string& text)
{
    return adopted_expression(condition_of(target, text));
}

std::string adopted_guard(const std::string& text)
{
    return adopted_expression(guard_of(text));
}

std::string adopted_value(Oid target, const std::string& column, const std::string& text)
{
    return adopted_expression(value_of(target, column, text));
}

} // namespace pgcleanup
