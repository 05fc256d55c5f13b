// Reading is strict: what this version would not write, it does not read.

#include "settings.h"

#include "endpoint.h"
#include "message.h"

namespace descant {

namespace {
const std::string FIRST_LINE = "descant-plugin 2", FIRST_LINE_OF_1 = "descant-plugin 1";
const std::string KEY = "key.";

bool is_line(const std::string& text, size_t low, size_t high)
{
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            return false;
    return is_text(text, low, high);
}
} // namespace

bool is_words(const std::string& text) { return is_line(text, 1, DESCANT_MAX_PROMPT); }

int key_of(const std::string& name)
{
    const std::string digits = name.rfind(KEY, 0) == 0 ? name.substr(KEY.size()) : "";
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos || (digits[0] == '0' && digits.size() > 1))
        return -1;
    const int key = std::stoi(digits);
    return key <= 127 ? key : -1;
}

std::string write_settings(const Settings& settings)
{
    std::string text = FIRST_LINE + "\nendpoint=" + settings.endpoint + "\npreset=" + settings.preset + "\nmodel=" + settings.model +
                       "\nweights=" + settings.weights + "\n";
    for (const auto& [key, words] : settings.keys)
        text += KEY + std::to_string(key) + "=" + words + "\n";
    return text;
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
    if (rows.empty() || (rows[0] != FIRST_LINE && rows[0] != FIRST_LINE_OF_1))
        return false;
    const bool has_keys = rows[0] == FIRST_LINE;
    Settings found;
    for (size_t i = 1; i < rows.size(); ++i) {
        const size_t equals = rows[i].find('=');
        if (equals == std::string::npos)
            return false;
        const std::string name = rows[i].substr(0, equals), value = rows[i].substr(equals + 1);
        if (const int key = key_of(name); has_keys && key >= 0) {
            if (!is_words(value) || !found.keys.emplace(uint8_t(key), value).second)
                return false;
            continue;
        }
        if (!is_line(value, 0, 200))
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
