#include "stamp/text/jinja/value_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "stamp/text/unicode.h"

namespace stamp::jinja {
namespace {

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const double magnitude = std::abs(value);
  // Python writes exponents outside [1e-4, 1e16).
  if (magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e16)) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + 32, value, std::chars_format::scientific).ptr;
    return std::string(buffer, end);
  }
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

/// Python's repr() of a string; printable characters beyond ASCII stay.
std::string quoted(const std::string& text) {
  const bool doubled = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = doubled ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\')
      result += '\\', result += c;
    else if (c == '\n')
      result += "\\n";
    else if (c == '\r')
      result += "\\r";
    else if (c == '\t')
      result += "\\t";
    else if (static_cast<uint8_t>(c) < 32 || c == 127)
      result += fmt::format("\\x{:02x}", c);
    else
      result += c;
  }
  return result + quote;
}

std::string scalar_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.integer() ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_float()) return float_text(value.number());
  return fmt::format("<{}>", type_name(value));
}

void append_repr(Machine& machine, const Value& value, std::string& out);

void append_items(Machine& machine, const Dict& dict, std::string& out) {
  bool first = true;
  for (const auto& [key, element] : dict.entries) {
    if (!first) out += ", ";
    first = false;
    out += quoted(key) + ": ";
    append_repr(machine, element, out);
  }
}

void append_repr(Machine& machine, const Value& value, std::string& out) {
  const size_t before = out.size();
  if (value.string()) {
    out += quoted(*value.string());
  } else if (value.list()) {
    out += '[';
    for (const Value& element : *value.list()) {
      if (&element != value.list()->data()) out += ", ";
      append_repr(machine, element, out);
    }
    out += ']';
  } else if (value.dict() && !value.name_space()) {
    out += '{';
    append_items(machine, *value.dict(), out);
    out += '}';
  } else {
    out += value.is_undefined() ? "Undefined" : scalar_text(value);
  }
  machine.charge(out.size() - before);
}

class JsonWriter {
 public:
  JsonWriter(Machine& machine, const JsonLayout& layout) : machine_(machine), layout_(layout) {}

  std::string write(const Value& value) {
    append(value, 0);
    return std::move(out_);
  }

 private:
  void append(const Value& value, int level) {
    machine_.charge(static_cast<size_t>(level));
    if (value.is_none())
      out_ += "null";
    else if (value.is_bool())
      out_ += value.integer() ? "true" : "false";
    else if (value.is_number())
      out_ += number(value);
    else if (value.string())
      append_string(*value.string());
    else if (value.list())
      append_list(*value.list(), level);
    else if (value.dict() && !value.name_space())
      append_dict(*value.dict(), level);
    else
      machine_.fail("tojson: {} has no JSON form", type_name(value));
  }

  static std::string number(const Value& value) {
    if (!value.is_float()) return std::to_string(value.integer());
    const double x = value.number();
    if (std::isnan(x)) return "NaN";
    if (std::isinf(x)) return x > 0 ? "Infinity" : "-Infinity";
    return float_text(x);
  }

  void append_list(const List& list, int level) {
    if (list.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (size_t i = 0; i < list.size(); ++i) {
      separate(i == 0, level + 1);
      append(list[i], level + 1);
    }
    end_line(level);
    out_ += ']';
  }

  void append_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return;
    }
    auto entries = dict.entries;
    if (layout_.sort_keys)
      std::sort(entries.begin(), entries.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      separate(i == 0, level + 1);
      append_string(entries[i].first);
      machine_.charge(layout_.key_separator.size());
      out_ += layout_.key_separator;
      append(entries[i].second, level + 1);
    }
    end_line(level);
    out_ += '}';
  }

  void separate(bool first, int level) {
    if (!first) {
      const std::string& separator = layout_.item_separator;
      machine_.charge(separator.size());
      // With an indent, json.dumps' own separator has no blank before the newline.
      out_ += layout_.indent >= 0 && separator == ", " ? "," : separator;
    }
    end_line(level);
  }

  void end_line(int level) {
    if (layout_.indent < 0) return;
    const auto blanks = static_cast<size_t>(layout_.indent) * static_cast<size_t>(level);
    machine_.charge(blanks);
    out_ += '\n';
    out_.append(blanks, ' ');
  }

  void append_string(const std::string& text) {
    machine_.charge(text.size());
    out_ += '"';
    for (size_t i = 0; i < text.size();) {
      const CodePoint point = decode_utf8(text, i);
      append_character(point.value, std::string_view(text).substr(i, point.bytes));
      i += point.bytes;
    }
    out_ += '"';
  }

  void append_character(char32_t c, std::string_view bytes) {
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    const size_t at = c < 128 ? kEscaped.find(static_cast<char>(c)) : kEscaped.npos;
    if (at != kEscaped.npos)
      out_ += '\\', out_ += kLetters[at];
    else if (c < 32 || (layout_.ascii && c > 126))
      append_unicode_escape(c);
    else
      out_ += bytes;
  }

  void append_unicode_escape(char32_t c) {
    if (c > 0xffff) {
      const uint32_t rest = static_cast<uint32_t>(c) - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    } else {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    }
  }

  Machine& machine_;
  const JsonLayout& layout_;
  std::string out_;
};

}  // namespace

std::string to_text(Machine& machine, const Value& value) {
  if (value.string()) {
    machine.charge(value.string()->size());
    return *value.string();
  }
  if (!value.list() && !value.dict()) return scalar_text(value);
  std::string out;
  append_repr(machine, value, out);
  return out;
}

std::string to_json(Machine& machine, const Value& value, const JsonLayout& layout) {
  return JsonWriter(machine, layout).write(value);
}

}  // namespace stamp::jinja
