// The places where a host may be, looked at in order.

#include "endpoint.h"

#include "settings.h"

#include <cstdlib>
#include <fstream>
#include <vector>

#ifndef _WIN32
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace descant {

namespace {
std::string variable(const char* name)
{
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::string config_folder()
{
#if defined(_WIN32)
    return variable("LOCALAPPDATA") + "\\descant\\descant";
#elif defined(__APPLE__)
    return variable("HOME") + "/Library/Application Support/descant";
#else
    const std::string base = variable("XDG_CONFIG_HOME");
    return (base.empty() || base[0] != '/' ? variable("HOME") + "/.config" : base) + "/descant";
#endif
}

std::string trimmed(const std::string& text)
{
    const size_t first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

// The lines `name = "value"` of the user's file, which is small and may not be there.
std::map<std::string, std::string> rows_of_file()
{
    std::map<std::string, std::string> rows;
    std::ifstream file(config_folder() + "/plugin.toml");
    std::string line;
    for (int count = 0; count < 400 && std::getline(file, line); ++count) {
        const size_t equals = line.find('=');
        if (equals == std::string::npos || trimmed(line)[0] == '#')
            continue;
        const std::string value = trimmed(line.substr(equals + 1));
        if (value.size() < 2)
            continue;
        const bool quoted = value[0] == '"' || value[0] == '\'';
        const size_t end = quoted ? value.find(value[0], 1) : value.find_first_of(" \t#");
        if (!quoted || end != std::string::npos)
            rows[trimmed(line.substr(0, equals))] = quoted ? value.substr(1, end - 1) : value.substr(0, end);
    }
    return rows;
}

Address from_file()
{
    auto rows = rows_of_file();
    return {rows["endpoint"], rows["host_key"], rows["public_key"], rows["secret_key"], rows["start_host"]};
}

#ifndef _WIN32
bool is_ours(const std::string& folder)
{
    struct stat found{};
    return lstat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == getuid();
}

bool exists(const std::string& path)
{
    struct stat found{};
    return lstat(path.c_str(), &found) == 0;
}
#endif
} // namespace

std::string default_endpoint()
{
#if defined(_WIN32)
    return "tcp://127.0.0.1:47474";
#else
    std::vector<std::string> folders;
    const std::string uid = std::to_string(getuid()), runtime = variable("XDG_RUNTIME_DIR");
    std::string temporary = variable("TMPDIR");
    if (temporary.empty())
        temporary = "/tmp";
#if defined(__APPLE__)
    folders.push_back(variable("HOME") + "/Library/Caches/TemporaryItems/descant");
#endif
    if (!runtime.empty() && runtime[0] == '/' && is_ours(runtime))
        folders.push_back(runtime + "/descant");
    if (is_ours("/run/user/" + uid))
        folders.push_back("/run/user/" + uid + "/descant");
    folders.push_back(temporary + "/runtime-" + uid + "/descant");
    folders.push_back(temporary + "/descant-" + uid);
    for (const std::string& folder : folders)
        if (is_ours(folder) && exists(folder + "/host"))
            return "ipc://" + folder + "/host";
    return "ipc://" + folders[0] + "/host";
#endif
}

bool is_endpoint(const std::string& text)
{
    if (text.size() > 200)
        return false;
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x21 || c == 0x7f)
            return false;
    return text.rfind("ipc://", 0) == 0 ? text.size() > 6 : text.rfind("tcp://", 0) == 0 && text.rfind(':') > 6;
}

bool is_private(const std::string& endpoint)
{
    if (endpoint.rfind("ipc://", 0) == 0)
        return true;
    const std::string host = endpoint.substr(6, endpoint.rfind(':') - 6);
    if (host == "localhost" || host == "[::1]")
        return true;
    return host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos;
}

std::map<uint8_t, std::string> keys_of_file()
{
    std::map<uint8_t, std::string> keys;
    for (const auto& [name, value] : rows_of_file())
        if (const int key = key_of(name); key >= 0 && is_words(value))
            keys[uint8_t(key)] = value;
    return keys;
}

Address find_host(const std::string& saved)
{
    Address address = from_file();
    const std::string in_file = address.endpoint, named = variable("DESCANT_ENDPOINT");
    if (is_endpoint(named))
        address.endpoint = named;
    else if (is_endpoint(saved)) {
        address.endpoint = saved;
        if (saved != in_file && saved != default_endpoint())
            address.program = "";
    }
    else if (!is_endpoint(address.endpoint))
        address.endpoint = default_endpoint();
    const bool keys = address.host_key.size() == 40 && address.public_key.size() == 40 && address.secret_key.size() == 40;
    if (!keys || (is_private(address.endpoint) && address.endpoint != in_file)) // they are of the file's host
        address.host_key = address.public_key = address.secret_key = "";
    if (!is_private(address.endpoint))
        address.program = "";
    if (!keys && !is_private(address.endpoint))
        address.endpoint = "";
    return address;
}

} // namespace descant
