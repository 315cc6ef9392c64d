// Pinned settings: what statements mean must not depend on what a role, a session or owner code has set.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

struct Setting {
    const char* name;
    std::string value;
};

// The settings that decide how expression text is read and written: pinned wherever an expression is parsed or run.
// `search_path` is not among them.
std::span<const Setting> language_settings();

// A nest level of settings: set() pins one; leaving the scope undoes everything that was set inside, by us or by owner
// code (SET, SET ROLE, set_config). Needs a transaction.
class SettingsScope {
public:
    SettingsScope();
    ~SettingsScope();
    SettingsScope(const SettingsScope&) = delete;
    SettingsScope& operator=(const SettingsScope&) = delete;
    void set(const char* name, const std::string& value) const;
    void set(std::span<const Setting> settings) const;

private:
    int level_;
    int exceptions_at_start_;
};

// Sets a setting for the whole life of a worker, above what ALTER ROLE or ALTER DATABASE gave it.
void set_for_worker(const char* name, const std::string& value);

std::string current_setting(const char* name);

} // namespace pgcleanup::pg
