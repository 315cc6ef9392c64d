#include "pg/settings_scope.h"

namespace pgcleanup::pg {

std::span<const Setting> language_settings()
{
    // The list is what changes the meaning of text: string syntax, input and output formats, `= NULL`, and triggers
    // that a replication role would silently switch off.
    static const std::vector<Setting> settings = {
        {"standard_conforming_strings", "on"},
        {"backslash_quote", "safe_encoding"},
        {"transform_null_equals", "off"},
        {"quote_all_identifiers", "off"},
        {"array_nulls", "on"},
        {"DateStyle", "ISO, YMD"},
        {"IntervalStyle", "postgres"},
        {"extra_float_digits", "1"},
        {"bytea_output", "hex"},
        {"xmloption", "content"},
        {"xmlbinary", "base64"},
        {"session_replication_role", "origin"},
    };
    return settings;
}

SettingsScope::SettingsScope()
    : level_(pg_call([] { return NewGUCNestLevel(); })), exceptions_at_start_(std::uncaught_exceptions())
{
}

SettingsScope::~SettingsScope()
{
    // An error ends in an abort, which takes every level down; doing it twice would take a level that is not ours.
    if (std::uncaught_exceptions() > exceptions_at_start_)
        return;
    // `false`, as after a failure: with `true`, a SET of owner code would be kept.
    pg_cleanup_call([this] { AtEOXact_GUC(false, level_); });
}

void SettingsScope::set(const char* name, const std::string& value) const
{
    pg_call(
        [&] { set_config_option(name, value.c_str(), PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false); });
}

void SettingsScope::set(std::span<const Setting> settings) const
{
    for (const Setting& setting : settings)
        set(setting.name, setting.value);
}

void set_for_worker(const char* name, const std::string& value)
{
    pg_call([&] { SetConfigOption(name, value.c_str(), PGC_SUSET, PGC_S_OVERRIDE); });
}

std::string current_setting(const char* name)
{
    const char* value = pg_call([&] { return GetConfigOption(name, false, false); });
    return value == nullptr ? "" : value;
}

} // namespace pgcleanup::pg
