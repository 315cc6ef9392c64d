// Asking a worker and taking its answer: see worker_launch.h.
#pragma once

#include "extension/worker_launch.h"
