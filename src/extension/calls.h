// Calls of the extension's own functions as statements that can be pasted: for hints, warnings and findings.
#pragma once

#include "pg/identity.h"

namespace pgcleanup {

// The function (or table) as a statement of this session reaches it: with the extension's schema where the search_path
// does not lead there. For what is said in the caller's session and under his search_path.
std::string callable(const pg::Extension& extension, std::string_view function);

// The same with its schema, whoever pastes it wherever: for what is said in a worker, or is stored.
std::string qualified(const pg::Extension& extension, std::string_view function);

// "SELECT * FROM schema.cleanup_run('old_events');"
std::string call_text(const pg::Extension& extension, std::string_view function, std::string_view argument);

} // namespace pgcleanup
