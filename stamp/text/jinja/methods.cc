// Methods of strings, dictionaries and lists, as Python has them.
#include <utf8proc.h>

#include <algorithm>

#include "stamp/text/jinja/library.h"
#include "stamp/text/unicode.h"

namespace stamp::jinja {
namespace {

using Method = Value (*)(Machine&, const Value&, const Arguments&);

/// What str.isspace() accepts.
bool is_blank(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

std::u32string code_points(const std::string& text) {
  std::u32string result;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text, i);
    result += point.value;
    i += point.bytes;
  }
  return result;
}

std::string utf8(std::u32string_view text) {
  std::string result;
  for (const char32_t c : text) append_utf8(c, result);
  return result;
}

char32_t to_case(char32_t c, bool upper) {
  const auto code = static_cast<utf8proc_int32_t>(c);
  return static_cast<char32_t>(upper ? utf8proc_toupper(code) : utf8proc_tolower(code));
}

template <bool Left, bool Right>
Value strip(Machine& m, const Value& self, const Arguments& a) {
  return strip_text(m, *self.string(), bind(m, "strip", a, {"chars"})[0], Left, Right);
}

Value upper(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "upper", a, {});
  return change_case(m, "upper", *self.string());
}
Value lower(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "lower", a, {});
  return change_case(m, "lower", *self.string());
}
Value title(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "title", a, {});
  return change_case(m, "title", *self.string());
}
Value capitalize(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "capitalize", a, {});
  return change_case(m, "capitalize", *self.string());
}

/// split() without separator: words between blanks.
List words_of(std::u32string_view text, int64_t limit) {
  List result;
  size_t i = 0;
  while (true) {
    while (i < text.size() && is_blank(text[i])) ++i;
    if (i == text.size()) return result;
    size_t end = i;
    if (static_cast<int64_t>(result.size()) == limit) {
      end = text.size();
      while (is_blank(text[end - 1])) --end;
    }
    while (end < text.size() && !is_blank(text[end])) ++end;
    result.emplace_back(utf8(text.substr(i, end - i)));
    i = end;
    if (static_cast<int64_t>(result.size()) > limit) return result;
  }
}

List split_from_left(const std::string& text, const std::string& separator, int64_t limit) {
  List result;
  size_t begin = 0;
  for (size_t at; limit > 0 && (at = find_text(text, separator, begin)) != text.npos; --limit) {
    result.emplace_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  result.emplace_back(text.substr(begin));
  return result;
}

std::string mirror(const std::string& text) { return {text.rbegin(), text.rend()}; }

List split_from_right(const std::string& text, const std::string& separator, int64_t limit) {
  const List mirrored = split_from_left(mirror(text), mirror(separator), limit);
  List result;
  for (size_t i = mirrored.size(); i-- > 0;) result.emplace_back(mirror(*mirrored[i].string()));
  return result;
}

template <bool FromRight>
Value split(Machine& m, const Value& self, const Arguments& a) {
  const auto args = bind(m, "split", a, {"sep", "maxsplit"});
  int64_t limit = args[1] ? integer_argument(m, "split", *args[1]) : -1;
  if (limit < 0) limit = INT64_MAX - 1;
  const std::string& text = *self.string();
  m.charge(text.size() * 16);
  if (!args[0] || args[0]->is_none()) {
    if (FromRight && args[1]) m.fail("rsplit: expected a separator");
    return m.made(words_of(code_points(text), limit));
  }
  const std::string& separator = string_argument(m, "split", *args[0]);
  if (separator.empty()) m.fail("split: the separator is empty");
  return m.made(FromRight ? split_from_right(text, separator, limit)
                          : split_from_left(text, separator, limit));
}

Value splitlines(Machine& m, const Value& self, const Arguments& a) {
  const auto args = bind(m, "splitlines", a, {"keepends"});
  const bool keep = args[0] && is_true(*args[0]);
  const std::string& text = *self.string();
  List result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    const size_t next = std::min(end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1), text.size());
    m.charge(64 + next - begin);
    result.emplace_back(text.substr(begin, (keep ? next : end) - begin));
    begin = next;
  }
  return m.made(std::move(result));
}

template <bool (*Fits)(std::string_view, std::string_view)>
Value affix(Machine& m, const Value& self, const Arguments& a) {
  const Value& wanted = *bind(m, "startswith", a, {"text"}, 1)[0];
  m.charge(wanted.size());
  if (!wanted.list()) return Fits(*self.string(), string_argument(m, "startswith", wanted));
  return std::any_of(wanted.list()->begin(), wanted.list()->end(), [&](const Value& one) {
    return Fits(*self.string(), string_argument(m, "startswith", one));
  });
}
bool has_prefix(std::string_view text, std::string_view part) { return text.starts_with(part); }
bool has_suffix(std::string_view text, std::string_view part) { return text.ends_with(part); }

Value removeprefix(Machine& m, const Value& self, const Arguments& a) {
  const auto& part =
      string_argument(m, "removeprefix", *bind(m, "removeprefix", a, {"text"}, 1)[0]);
  return m.made(self.string()->starts_with(part) ? self.string()->substr(part.size())
                                                 : *self.string());
}
Value removesuffix(Machine& m, const Value& self, const Arguments& a) {
  const auto& part =
      string_argument(m, "removesuffix", *bind(m, "removesuffix", a, {"text"}, 1)[0]);
  const std::string& text = *self.string();
  return m.made(text.ends_with(part) ? text.substr(0, text.size() - part.size()) : text);
}

Value replace(Machine& m, const Value& self, const Arguments& a) {
  const auto args = bind(m, "replace", a, {"old", "new", "count"}, 2);
  return replace_text(m, *self.string(), string_argument(m, "replace", *args[0]),
                      string_argument(m, "replace", *args[1]),
                      args[2] ? integer_argument(m, "replace", *args[2]) : -1);
}

template <bool FromRight>
Value find(Machine& m, const Value& self, const Arguments& a) {
  const std::string& part = string_argument(m, "find", *bind(m, "find", a, {"text"}, 1)[0]);
  const std::string& text = *self.string();
  m.charge(text.size());
  const size_t at = FromRight ? rfind_text(text, part) : find_text(text, part);
  if (at == text.npos) return int64_t{-1};
  return length_of(m, text.substr(0, at));
}

Value count_in_text(Machine& m, const Value& self, const Arguments& a) {
  const std::string& part = string_argument(m, "count", *bind(m, "count", a, {"text"}, 1)[0]);
  const std::string& text = *self.string();
  m.charge(text.size());
  if (part.empty()) return length_of(m, self) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = find_text(text, part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

Value join(Machine& m, const Value& self, const Arguments& a) {
  const auto args = bind(m, "join", a, {"iterable"}, 1);
  return join_texts(m, elements_of(m, *args[0]), *self.string());
}

template <bool (*Is)(char32_t)>
Value all_are(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "isdigit", a, {});
  m.charge(self.size());
  const std::u32string text = code_points(*self.string());
  return !text.empty() && std::all_of(text.begin(), text.end(), Is);
}
bool is_decimal(char32_t c) { return c >= '0' && c <= '9'; }

Value get(Machine& m, const Value& self, const Arguments& a) {
  const auto args = bind(m, "get", a, {"key", "default"}, 1);
  m.charge(self.dict()->entries.size());
  const Value* found = args[0]->string() ? self.dict()->find(*args[0]->string()) : nullptr;
  return found ? *found : args[1] ? *args[1] : Value();
}
Value items(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "items", a, {});
  List result;
  for (const auto& [key, value] : self.dict()->entries)
    result.push_back(m.made(List{Value(key), value}));
  return m.made(std::move(result));
}
Value keys(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "keys", a, {});
  return m.made(elements_of(m, self));
}
Value values(Machine& m, const Value& self, const Arguments& a) {
  bind(m, "values", a, {});
  List result;
  for (const auto& [key, value] : self.dict()->entries) result.push_back(value);
  return m.made(std::move(result));
}

Value index_of(Machine& m, const Value& self, const Arguments& a) {
  const Value& wanted = *bind(m, "index", a, {"value"}, 1)[0];
  m.charge(self.size());
  for (size_t i = 0; i < self.list()->size(); ++i)
    if (is_equal((*self.list())[i], wanted)) return static_cast<int64_t>(i);
  m.fail("index: the value is not in the list");
}
Value count_in_list(Machine& m, const Value& self, const Arguments& a) {
  const Value& wanted = *bind(m, "count", a, {"value"}, 1)[0];
  m.charge(self.size());
  return int64_t{std::count_if(self.list()->begin(), self.list()->end(),
                               [&](const Value& value) { return is_equal(value, wanted); })};
}

constexpr Entry<Method> kStringMethods[] = {{"capitalize", capitalize},
                                            {"count", count_in_text},
                                            {"endswith", affix<has_suffix>},
                                            {"find", find<false>},
                                            {"isdigit", all_are<is_decimal>},
                                            {"isspace", all_are<is_blank>},
                                            {"join", join},
                                            {"lower", lower},
                                            {"lstrip", strip<true, false>},
                                            {"removeprefix", removeprefix},
                                            {"removesuffix", removesuffix},
                                            {"replace", replace},
                                            {"rfind", find<true>},
                                            {"rsplit", split<true>},
                                            {"rstrip", strip<false, true>},
                                            {"split", split<false>},
                                            {"splitlines", splitlines},
                                            {"startswith", affix<has_prefix>},
                                            {"strip", strip<true, true>},
                                            {"title", title},
                                            {"upper", upper}};
constexpr Entry<Method> kDictMethods[] = {
    {"get", get}, {"items", items}, {"keys", keys}, {"values", values}};
constexpr Entry<Method> kListMethods[] = {{"count", count_in_list}, {"index", index_of}};

}  // namespace

Value call_method(Machine& machine, const Value& object, std::string_view name,
                  const Arguments& arguments) {
  if (object.is_undefined()) machine.fail("'{}' is undefined", object.undefined_name());
  const Entry<Method>* method = nullptr;
  if (object.string()) method = find_entry<Method>(kStringMethods, name);
  if (object.list()) method = find_entry<Method>(kListMethods, name);
  if (object.dict() && !object.name_space()) method = find_entry<Method>(kDictMethods, name);
  if (!method) machine.fail("{} has no method '{}'", type_name(object), name);
  machine.charge(object.size());
  return method->call(machine, object, arguments);
}

Value change_case(Machine& machine, std::string_view name, const std::string& text) {
  machine.charge(text.size() * 4);
  std::u32string result = code_points(text);
  bool starts_word = true;
  for (char32_t& c : result) {
    const bool is_letter = to_case(c, true) != c || to_case(c, false) != c;
    c = to_case(c, name == "upper" || (name != "lower" && starts_word));
    starts_word = name == "title" && !is_letter;
  }
  return machine.made(utf8(result));
}

Value strip_text(Machine& machine, const std::string& text, const Value* characters, bool left,
                 bool right) {
  machine.charge(text.size() * 4);
  const std::u32string all = code_points(text);
  std::u32string wanted;
  const bool blanks = !characters || characters->is_none();
  if (!blanks) wanted = code_points(string_argument(machine, "strip", *characters));
  machine.charge(wanted.size() * all.size());
  const auto goes = [&](char32_t c) {
    return blanks ? is_blank(c) : wanted.find(c) != wanted.npos;
  };
  size_t begin = 0, end = all.size();
  while (left && begin < end && goes(all[begin])) ++begin;
  while (right && end > begin && goes(all[end - 1])) --end;
  return machine.made(utf8(std::u32string_view(all).substr(begin, end - begin)));
}

Value replace_text(Machine& machine, const std::string& text, const std::string& old_text,
                   const std::string& new_text, int64_t count) {
  if (old_text.empty()) machine.fail("replace: the text to replace is empty");
  std::string result;
  size_t begin = 0;
  for (size_t at; count != 0 && (at = find_text(text, old_text, begin)) != text.npos; --count) {
    machine.charge(at - begin + new_text.size());
    result.append(text, begin, at - begin).append(new_text);
    begin = at + old_text.size();
  }
  return machine.made(result.append(text, begin));
}

}  // namespace stamp::jinja
