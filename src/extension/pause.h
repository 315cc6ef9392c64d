// The database's emergency stop.
#pragma once

#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

struct PauseState {
    std::string since; // timestamptz text, ISO
    std::string by;
    std::string reason;
};

// The pause that is in force as of the active snapshot (take a new one per batch), or nothing. One probe of an index.
std::optional<PauseState> current_pause(pg::Spi& spi, const pg::Extension& extension);

// "paused by ... since ...: reason", for messages.
std::string pause_text(const PauseState& pause);

} // namespace pgcleanup
