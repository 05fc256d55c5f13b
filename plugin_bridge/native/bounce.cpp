// How long a bounce is patient, and its end.

#include "bounce.h"

#include <cstdlib>

namespace descant {

namespace {
double patience_of_bounces()
{
    const char* said = std::getenv("DESCANT_PATIENCE");
    const double seconds = said ? std::atof(said) : 30;
    return seconds > 0 && seconds < 3600 ? seconds : 30;
}
} // namespace

Bounce::Bounce(Shared& shared, Report& report, Playout& playout) : patience(patience_of_bounces()), shared_(shared), report_(report), playout_(playout) {}

void Bounce::end() noexcept
{
    if (running())
        report_.bounce = Report::NONE;
    shared_.turns.fetch_add(1, std::memory_order_release);
}

} // namespace descant
