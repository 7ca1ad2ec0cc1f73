#include "stamp/text/jinja/jinja.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace stamp::jinja {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/chat";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The moment of cases.json: Friday, 7 March 2025, 14:05:09.
std::tm case_time() {
  std::tm time{};
  time.tm_year = 125, time.tm_mon = 2, time.tm_mday = 7, time.tm_wday = 5, time.tm_yday = 65;
  time.tm_hour = 14, time.tm_min = 5, time.tm_sec = 9;
  return time;
}

std::string render(const std::string& source,
                   const OrderedJson& variables = OrderedJson::object()) {
  return Template(source, "test").render(variables, case_time());
}

/// The message of the error that rendering ends with.
std::string failure(const std::string& source,
                    const OrderedJson& variables = OrderedJson::object()) {
  try {
    render(source, variables);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Jinja, RendersAsPythonDoes) {
  const OrderedJson document = OrderedJson::parse(read_file(kFolder / "cases.json"));
  ASSERT_GT(document["cases"].size(), 150u);
  for (const OrderedJson& test : document["cases"]) {
    const std::string name = test["name"], shown = test["template"];
    const bool is_file = shown.ends_with(".jinja");
    const std::string source = is_file ? read_file(kFolder / shown) : shown;
    const OrderedJson& variables = is_file ? test["variables"] : document["data"];
    if (test.contains("error")) {
      EXPECT_THROW(render(source, variables), std::runtime_error) << name << ": " << shown;
      continue;
    }
    try {
      EXPECT_EQ(render(source, variables), test["expected"].get<std::string>())
          << name << ": " << shown;
    } catch (const std::runtime_error& error) {
      ADD_FAILURE() << name << ": " << shown << "\n" << error.what();
    }
  }
}

TEST(Jinja, ErrorsNameTheLine) {
  EXPECT_EQ(failure("a\nb\n{{ x.y }}"), "test: line 3: 'x' is undefined");
  EXPECT_EQ(failure("{% if a %}\n\n{% endfor %}"),
            "test: line 3: expected 'endif' for the 'if' of line 1, got endfor");
  EXPECT_EQ(failure("\n{{ 'open }}"), "test: line 2: a string is not closed");
  EXPECT_EQ(failure("\n\n{% include 'x' %}"), "test: line 3: the tag 'include' is not supported");
  EXPECT_EQ(failure("{{\n raise_exception('no') }}"), "test: line 2: the template refuses: no");
  EXPECT_EQ(failure("{% macro m() %}\n{{ 1 + 'x' }}{% endmacro %}\n\n{{ m() }}"),
            "test: line 2: '+' does not work for integer and string");
}

TEST(Jinja, LoopsEnd) {
  const std::string loop = "{% for i in range(100000) %}{% for j in range(100000) %}";
  EXPECT_NE(failure(loop + "{% endfor %}{% endfor %}").find("too long"), std::string::npos);
  EXPECT_NE(failure(loop + "xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}").find("too long"),
            std::string::npos);
}

TEST(Jinja, RecursionEnds) {
  const std::string macro = "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}";
  EXPECT_NE(failure(macro).find("too deep"), std::string::npos);
}

TEST(Jinja, ValuesCannotGrowWithoutBound) {
  const std::string head =
      "{% set n = namespace(s='0123456789abcdef', l=[1]) %}"
      "{% for i in range(100000) %}";
  for (const char* body :
       {"{% set n.s = n.s ~ n.s %}", "{% set n.s = n.s * 1000 %}", "{% set n.l = n.l + n.l %}",
        "{% set n.l = [n.l, n.l] %}", "{% set n.s = n.s.replace('0', '00000000') %}",
        "{% set n.s = [n.s, n.s] | join %}", "{% set n.s = n.s | indent(1000, true) %}",
        "{% set n.l = [n.l, n.l] | tojson %}", "{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}"}) {
    const std::string message = failure(head + body + "{% endfor %}");
    EXPECT_TRUE(message.find("too long") != message.npos || message.find("deeper") != message.npos)
        << body << ": " << message;
  }
}

// Each of these would run for hours, or take gigabytes, if what it does were not counted.
TEST(Jinja, WorkInsideOneStepIsCounted) {
  const auto repeated = [](const std::string& part, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  const std::string many = "{% for i in range(100000) %}";
  std::string parameters = "a0", arguments = "a0=1";
  for (int i = 1; i < 20000; ++i) {
    parameters += fmt::format(",a{}", i);
    arguments += fmt::format(",a{}=1", i);
  }
  const std::string macro = "{% macro f(" + parameters + ") %}{% endmacro %}" + many;
  for (const std::string& source :
       {macro + "{{ f() }}{% endfor %}", macro + "{{ f(" + arguments + ") }}{% endfor %}",
        std::string("{{ ('\n' * 100000 * 400).splitlines() | length }}"),
        std::string("{{ range(100000) | list | tojson(separators=['x' * 100000 * 100, ':']) }}")})
    EXPECT_NE(failure(source).find("runs too long"), std::string::npos) << source.substr(0, 60);
  // Filters within each other: 500 at most, and what all of them are given is counted.
  const auto nested = [&](int depth) {
    return failure("{{ 'a' | map('map'" + repeated(", 'map'", depth) + ") | list }}");
  };
  EXPECT_NE(nested(2000).find("too deep"), std::string::npos);
  EXPECT_NE(nested(100000).find("too long"), std::string::npos);
}

TEST(Jinja, SearchingIsLinear) {
  const std::string texts =
      "{% set a = 'a' * 100000 * 80 %}{% set b = 'a' * 100000 * 40 ~ 'b' %}"
      "{% set c = 'b' ~ 'a' * 100000 * 40 %}";
  EXPECT_EQ(render(texts + "{{ b in a }} {{ a.rfind(c) }}"), "False -1");
  EXPECT_EQ(render("{{ 'xaxbx'.find('x') }} {{ 'xaxbx'.rfind('x') }} {{ ''.rfind('') }} "
                   "{{ 'abab'.rfind('ab') }} {{ 'ab'.find('') }} {{ 'ab'.rfind('') }} "
                   "{{ 'a--b---c'.rsplit('--', 1) }} {{ '\u00e9-\u00e8'.rsplit('-') }}"),
            "0 4 0 2 0 2 ['a--b-', 'c'] ['\u00e9', '\u00e8']");
}

TEST(Jinja, DictionariesAreEqualInAnyOrder) {
  EXPECT_EQ(render("{{ {'a': 1, 'b': [2]} == {'b': [2], 'a': 1} }} {{ {'a': 1} == {'b': 1} }} "
                   "{{ {'a': 1} == {'a': 2} }} {{ {} == {} }}"),
            "True False False True");
}

TEST(Jinja, StepsCanBeLimitedFurther) {
  const Template loop("{% for i in range(100) %}x{% endfor %}", "test");
  EXPECT_EQ(loop.render(OrderedJson::object(), case_time()), std::string(100, 'x'));
  EXPECT_THROW(loop.render(OrderedJson::object(), case_time(), 100), std::runtime_error);
}

TEST(Jinja, NamespacesMayReferToEachOther) {
  EXPECT_EQ(render("{% set a = namespace() %}{% set a.me = a %}{{ a.me.me == a }}"), "True");
  const std::string chain =
      "{% set n = namespace(last=none) %}{% for i in range(50000) %}"
      "{% set n.last = namespace(before=n.last) %}{% endfor %}{{ n.last.before is defined }}";
  EXPECT_EQ(render(chain), "True");
}

TEST(Jinja, DeepSourcesAreErrors) {
  const auto repeated = [](const std::string& part, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += part;
    return text;
  };
  constexpr int kMany = 20000;
  for (const std::string& source :
       {"{{ " + repeated("(", kMany), "{{ " + repeated("[", kMany), "{{ " + repeated("-", kMany),
        "{{ " + repeated("not ", kMany), "{{ 1" + repeated(" + 1", kMany) + " }}",
        "{{ a" + repeated(".b", kMany) + " }}", "{{ a" + repeated("|trim", kMany) + " }}",
        "{{ a" + repeated("[0", kMany), "{{ a" + repeated(" if a else a", kMany) + " }}",
        repeated("{% if a %}", kMany), repeated("{% for a in b %}", kMany),
        "{{ a" + repeated("(a", kMany), "{{ {1: " + repeated("{1: ", kMany)})
    EXPECT_THROW(render(source), std::runtime_error) << source.substr(0, 40);
  EXPECT_THROW(render(std::string(size_t{2} << 20, 'x')), std::runtime_error);
  EXPECT_EQ(render("{% if true %}a{% else %}" + repeated("{# #}", kMany) + "{% endif %}"), "a");
}

TEST(Jinja, EveryPrefixOfATemplateIsHandled) {
  for (const char* file : {"headers.jinja", "im_blocks.jinja", "steps.jinja", "thinking.jinja"}) {
    const std::string source = read_file(kFolder / file);
    ASSERT_GT(source.size(), 1000u);
    for (size_t length = 0; length < source.size(); length += 7) {
      try {
        render(source.substr(0, length));
      } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("test: line "), std::string::npos);
      }
    }
  }
}

TEST(Jinja, InvalidUtf8IsReplaced) {
  EXPECT_EQ(render("a\xff{{ 'b\xc3' }}"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
}

TEST(Jinja, TimeFormatsAreChecked) {
  EXPECT_EQ(render("{{ strftime_now('%A, %-d %B %Y') }}"), "Friday, 7 March 2025");
  EXPECT_NE(failure("{{ strftime_now('%999999999d') }}").find("unsupported format"),
            std::string::npos);
  EXPECT_NE(failure("{{ strftime_now('%') }}").find("unsupported format"), std::string::npos);
}

}  // namespace
}  // namespace stamp::jinja
