// Reading is strict: what this version would not write, it does not read.

#include "settings.h"

#include "endpoint.h"
#include "message.h"

namespace descant {

namespace {
const std::string FIRST_LINE = "descant-plugin 1";

bool is_value(const std::string& text)
{
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            return false;
    return is_text(text, 0, 200);
}
} // namespace

std::string write_settings(const Settings& settings)
{
    return FIRST_LINE + "\nendpoint=" + settings.endpoint + "\npreset=" + settings.preset + "\nmodel=" + settings.model +
           "\nweights=" + settings.weights + "\n";
}

bool read_settings(const std::string& text, Settings& out)
{
    if (text.empty()) {
        out = Settings();
        return true;
    }
    if (text.size() > MAX_SETTINGS_BYTES)
        return false;
    const std::vector<std::string> rows = lines(text);
    if (rows.empty() || rows[0] != FIRST_LINE)
        return false;
    Settings found;
    for (size_t i = 1; i < rows.size(); ++i) {
        const size_t equals = rows[i].find('=');
        if (equals == std::string::npos)
            return false;
        const std::string name = rows[i].substr(0, equals), value = rows[i].substr(equals + 1);
        if (!is_value(value))
            return false;
        if (name == "endpoint" && (value.empty() || is_endpoint(value)))
            found.endpoint = value;
        else if (name == "preset")
            found.preset = value;
        else if (name == "model")
            found.model = value;
        else if (name == "weights")
            found.weights = value;
        else
            return false;
    }
    out = found;
    return true;
}

} // namespace descant
