// A shell puts the host into the background and ends; what a DAW has open does not go on to it.

#include "starter.h"

#include <chrono>
#include <mutex>

#ifndef _WIN32
#include <csignal>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
#endif

namespace descant {

#ifdef _WIN32
bool start_host(const std::string&, const std::string&) { return false; }
#else
namespace {
bool is_time()
{
    using Clock = std::chrono::steady_clock;
    static std::mutex mutex;
    static bool tried = false;
    static Clock::time_point at;
    const std::lock_guard<std::mutex> lock(mutex);
    if (tried && Clock::now() - at < std::chrono::seconds(RETRY_S))
        return false;
    tried = true;
    at = Clock::now();
    return true;
}
} // namespace

bool start_host(const std::string& program, const std::string& endpoint)
{
    if (program.empty() || program[0] != '/' || access(program.c_str(), X_OK) != 0 || !is_time())
        return false;
    const char* const script = "\"$0\" host --on-demand --endpoint \"$1\" </dev/null >/dev/null 2>&1 &";
    const char* const words[] = {"/bin/sh", "-c", script, program.c_str(), endpoint.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
#endif
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#ifdef POSIX_SPAWN_SETSID
    flags |= POSIX_SPAWN_SETSID; // Ctrl-C in the DAW's terminal is not meant for it
#endif
    posix_spawnattr_setflags(&attributes, flags);
    pid_t shell = 0;
    const bool started = posix_spawn(&shell, words[0], &actions, &attributes, const_cast<char* const*>(words), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    int status = 0;
    return started && waitpid(shell, &status, 0) == shell && status == 0;
}
#endif

} // namespace descant
