// Conditions, guards and values that an update sets: expressions that users write, kept as canonical text that means
// the same later.
//
// All functions parse as the current user, whose code the parser may run (input functions of composite types check
// domains): callers stand in the rights of the target's owner. They take AccessShareLock on every relation named.
#pragma once

#include "extension/expression_uses.h"
#include "pg/settings_scope.h"

namespace pgcleanup {

// The settings under which canonical text is written and read: language settings, search_path pg_catalog, UTC.
class CanonicalSettings {
public:
    CanonicalSettings();

private:
    pg::SettingsScope settings_;
};

// Reads a condition, or a guard, under the current search_path and settings, and returns its canonical text: names
// qualified, columns prefixed by `target`. Raises, with a hint, what it must not contain, and what would not mean the
// same when it is read again.
std::string canonical_condition(Oid target, const std::string& text);
std::string canonical_guard(const std::string& text);
// What `column` (a column of the target that may be set) is set to: as a condition, but of a type that can be assigned
// to the column, and it may name the values of the run, which canonical text prefixes by `run`.
std::string canonical_value(Oid target, const std::string& column, const std::string& text);

// Reads canonical text as it was written; raises when it no longer can be, or contains what it must not.
ExpressionTree read_canonical_condition(Oid relation, const std::string& canonical);
ExpressionTree read_canonical_guard(const std::string& canonical);
ExpressionTree read_canonical_value(Oid relation, const std::string& column, const std::string& canonical);

// Raises object_not_in_prerequisite_state when canonical text means something else under the current search_path and
// settings, e.g. an operator that stands before pg_catalog's. `relation`: the one that it will be run on, e.g. a
// partition.
void verify_condition_under_current_path(Oid relation, const std::string& canonical);
void verify_guard_under_current_path(const std::string& canonical);
void verify_value_under_current_path(Oid relation, const std::string& column, const std::string& canonical);

// As canonical_condition and its like, for text of unknown origin (a dump, an export, an INSERT): canonical text
// is read as such; raises ambiguous_function when the current search_path would give it another meaning.
std::string adopted_condition(Oid target, const std::string& text);
std::string adopted_guard(const std::string& text);
std::string adopted_value(Oid target, const std::string& column, const std::string& text);

} // namespace pgcleanup
