// Between C++ strings and Datums; all of these may throw PgError and allocate in the current memory context.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

Datum text_datum(std::string_view value);
std::string text_of(Datum value);
Datum name_datum(std::string_view value);
// The value's text by its type's output function. Never for owner-defined types outside an owner's session.
std::string output_text(Datum value, Oid type);
// The value of a text by its type's input function.
Datum input_value(const std::string& text, Oid type, int32 typmod = -1);

// The n-th argument (from 0), or nothing when it is NULL.
std::optional<std::string> text_argument(FunctionCallInfo fcinfo, int n);
std::optional<std::string> name_argument(FunctionCallInfo fcinfo, int n);

// The elements of a value of type text[]; raises null_value_not_allowed when one is NULL.
std::vector<std::string> text_array(Datum array);
// The same of array text ("{...}"); nothing: no elements.
std::vector<std::string> text_array(const std::optional<std::string>& text);

// Quoting, the one place for it.
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view value);
std::string quote_qualified(std::string_view schema, std::string_view name);
// "schema.name", quoted where needed, of a relation that exists; raises undefined_table else.
std::string relation_name(Oid relation);

} // namespace pgcleanup::pg
