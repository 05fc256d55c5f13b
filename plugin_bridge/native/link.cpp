// The network thread's life, and what the main thread tells it.

#include "link.h"

#include <chrono>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace descant {

namespace {
void ask_for_priority()
{
#if defined(__linux__)
    sched_param priority{};
    priority.sched_priority = 10;
    pthread_setschedparam(pthread_self(), SCHED_RR, &priority); // mostly refused: then as everybody
    pthread_setname_np(pthread_self(), "descant link");
#endif
}
} // namespace

Link::Link(Shared& shared, Report& report, const char* const* parameter_names)
    : shared_(shared), report_(report), names_(parameter_names)
{
}

void Link::start(const Hello& hello)
{
    stop();
    {
        const std::lock_guard<std::mutex> lock(wishes_.mutex);
        wishes_.hello = hello;
        ++wishes_.version;
    }
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
}

void Link::stop()
{
    if (!thread_.joinable())
        return;
    stopping_ = true;
    thread_.join();
    report_.state = uint32_t(LinkState::OFF);
}

Settings Link::settings() const
{
    const std::lock_guard<std::mutex> lock(wishes_.mutex);
    return wishes_.settings;
}

void Link::set_settings(const Settings& settings)
{
    const std::lock_guard<std::mutex> lock(wishes_.mutex);
    const bool other = settings.endpoint != wishes_.settings.endpoint || settings.preset != wishes_.settings.preset || settings.model != wishes_.settings.model;
    wishes_.settings = settings;
    wishes_.version += other;
}

std::string Link::words() const
{
    const std::lock_guard<std::mutex> lock(wishes_.mutex);
    return wishes_.words;
}

void Link::run()
{
    ask_for_priority();
    while (!stopping_) {
        try {
            Session session(shared_, report_, wishes_, names_);
            while (!stopping_)
                session.turn();
            session.leave();
        } catch (const std::exception&) { // of ZeroMQ, or no memory: begin anew
            report_.state = uint32_t(LinkState::LOOKING);
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }
}

} // namespace descant
