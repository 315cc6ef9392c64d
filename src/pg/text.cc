#include "pg/text.h"

namespace pgcleanup::pg {

Datum text_datum(std::string_view value)
{
    return pg_call(
        [&] { return PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size()))); });
}

std::string text_of(Datum value)
{
    const char* plain = pg_call([&] { return text_to_cstring(DatumGetTextPP(value)); });
    return plain;
}

Datum name_datum(std::string_view value)
{
    return pg_call([&] {
        auto* name = static_cast<Name>(palloc0(NAMEDATALEN));
        const std::size_t length = std::min<std::size_t>(value.size(), NAMEDATALEN - 1);
        std::copy_n(value.data(), length, NameStr(*name));
        return NameGetDatum(name);
    });
}

std::string output_text(Datum value, Oid type)
{
    const char* plain = pg_call([&] {
        Oid function = InvalidOid;
        bool is_varlena = false;
        getTypeOutputInfo(type, &function, &is_varlena);
        return OidOutputFunctionCall(function, value);
    });
    return plain;
}

Datum input_value(const std::string& text, Oid type, int32 typmod)
{
    return pg_call([&] {
        Oid function = InvalidOid;
        Oid parameter = InvalidOid;
        getTypeInputInfo(type, &function, &parameter);
        return OidInputFunctionCall(function, pstrdup(text.c_str()), parameter, typmod);
    });
}

std::optional<std::string> text_argument(FunctionCallInfo fcinfo, int n)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    return text_of(PG_GETARG_DATUM(n));
}

std::optional<std::string> name_argument(FunctionCallInfo fcinfo, int n)
{
    if (PG_ARGISNULL(n))
        return std::nullopt;
    return std::string(NameStr(*PG_GETARG_NAME(n)));
}

std::vector<std::string> text_array(Datum array)
{
    Datum* elements = nullptr;
    bool* nulls = nullptr;
    int count = 0;
    pg_call([&] {
        deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    });
    std::vector<std::string> values;
    for (int i = 0; i < count; ++i) {
        if (nulls[i])
            raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "an element of the array is NULL"});
        values.push_back(text_of(elements[i]));
    }
    return values;
}

std::vector<std::string> text_array(const std::optional<std::string>& text)
{
    return text ? text_array(input_value(*text, TEXTARRAYOID)) : std::vector<std::string>();
}

std::string quote_identifier(std::string_view name)
{
    const std::string terminated(name);
    const char* quoted = pg_call([&] { return ::quote_identifier(terminated.c_str()); });
    return quoted;
}

std::string quote_literal(std::string_view value)
{
    const std::string terminated(value);
    const char* quoted = pg_call([&] { return quote_literal_cstr(terminated.c_str()); });
    return quoted;
}

std::string quote_qualified(std::string_view schema, std::string_view name)
{
    return concat(quote_identifier(schema), ".", quote_identifier(name));
}

std::string relation_name(Oid relation)
{
    require_transaction();
    const char* name = pg_call([&] { return get_rel_name(relation); });
    if (name == nullptr)
        raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
               .message = concat("relation with OID ", relation, " does not exist")});
    const char* schema = pg_call([&] { return get_namespace_name_or_temp(get_rel_namespace(relation)); });
    return quote_qualified(schema == nullptr ? "" : schema, name);
}

} // namespace pgcleanup::pg
