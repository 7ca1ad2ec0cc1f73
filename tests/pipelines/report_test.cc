#include <gtest/gtest.h>

#include <cctype>
#include <limits>
#include <optional>
#include <set>

#include "stamp/pipelines/svg.h"
#include "tests/pipelines/sample_comparison.h"

namespace stamp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

bool is_void(const std::string& tag) { return tag == "meta" || tag == "br"; }

struct Tag {
  bool closing = false, empty = false;
  std::string name;
  std::vector<std::pair<std::string, std::string>> attributes;
};

/// The tag that begins at html[at]; nothing where it is malformed.
std::optional<Tag> read_tag(const std::string& html, size_t at) {
  const auto is = [&](const char* characters) {
    return at < html.size() && std::string_view(characters).find(html[at]) != std::string::npos;
  };
  const auto word = [&] {
    std::string text;
    while (at < html.size() && (std::isalnum(static_cast<unsigned char>(html[at])) || is("-:_")))
      text += html[at++];
    return text;
  };
  Tag tag;
  ++at;
  if (is("/")) tag.closing = true, ++at;
  tag.name = word();
  while (is(" \n")) {
    while (is(" \n")) ++at;
    const std::string name = word();
    if (name.empty()) break;
    const size_t end = html.find('"', at + 2);
    if (html.compare(at, 2, "=\"") != 0 || end == std::string::npos) return {};
    tag.attributes.emplace_back(name, html.substr(at + 2, end - at - 2));
    if (tag.attributes.back().second.find_first_of("<>") != std::string::npos) return {};
    at = end + 1;
  }
  if (is("/")) tag.empty = true, ++at;
  if (tag.name.empty() || !is(">")) return {};
  return tag;
}

/// Every tag is closed in order, attributes are quoted; returns what is wrong, empty when nothing
/// is.
std::string markup_error(const std::string& html) {
  std::vector<std::string> open;
  size_t at = html.find('>') + 1;  // past the doctype
  for (at = html.find('<', at); at != std::string::npos; at = html.find('<', at + 1)) {
    const auto tag = read_tag(html, at);
    if (!tag) return "bad tag " + html.substr(at, 60);
    if (tag->closing) {
      if (open.empty() || open.back() != tag->name) return "unexpected </" + tag->name + ">";
      open.pop_back();
    } else if (!tag->empty && !is_void(tag->name)) {
      open.push_back(tag->name);
    }
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

/// Values of geometry attributes that hold something other than numbers and path letters.
std::string geometry_error(const std::string& html) {
  const std::set<std::string> geometry = {"x",  "y",  "x1", "x2",    "y1",     "y2",
                                          "cx", "cy", "r",  "width", "height", "d"};
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const auto tag = read_tag(html, at);
    if (!tag) continue;
    for (const auto& [name, value] : tag->attributes)
      if (geometry.contains(name) &&
          (value.empty() || value.find_first_not_of("0123456789.- MLhvlz") != std::string::npos))
        return name + "=" + value;
  }
  return "";
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

void expect_sound(const Comparison& comparison) {
  const std::string html = to_html(comparison);
  EXPECT_EQ(markup_error(html), "");
  EXPECT_EQ(geometry_error(html), "");
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_NE(html.find("Simulated"), std::string::npos);
}

TEST(Report, IsSoundAndComplete) {
  const Comparison comparison = sample_comparison();
  expect_sound(comparison);
  const std::string html = to_html(comparison);
  EXPECT_EQ(count(html, "<figure "), 5u);
  EXPECT_EQ(count(html, "<figcaption>"), 5u);
  EXPECT_EQ(count(html, "<th scope=\"row\">"), comparison.rows.size() + 1);
  EXPECT_EQ(count(html, "class=\"group\""), 6u);
  EXPECT_EQ(count(html, "<svg role=\"img\" aria-label="), count(html, "<svg "));
  for (const char* fact :
       {"stamp-demo-16m", "heldout.txt", "0123abc", "8 of 1024 tokens", "AMD EPYC"}) {
    EXPECT_NE(html.find(fact), std::string::npos) << fact;
  }
  EXPECT_EQ(html.find("Partial result"), std::string::npos);
}

TEST(Report, NeedsNothingFromElsewhere) {
  const std::string html = to_html(sample_comparison());
  for (const char* part : {"<script", "<link", "<img", "@import", "url(", "href=", "src="}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
  EXPECT_LT(html.size(), 600'000u);
}

TEST(Report, SummaryNamesTheBestRowOfEveryWidth) {
  const std::string html = to_html(sample_comparison());
  const std::string lead = html.substr(html.find("class=\"lead\""), 600);
  EXPECT_NE(lead.find("wins back <b>42 %</b> at W4 A4 KV4 (hadamard + dct, waterfill)"),
            std::string::npos)
      << lead;
  EXPECT_NE(lead.find("at W3 A3 KV3"), std::string::npos);
  EXPECT_NE(lead.find("at W2 A2 KV2"), std::string::npos);
}

TEST(Report, SummaryIsNeutralWithoutAGain) {
  Comparison comparison = sample_comparison();
  comparison.rows = {sample_row(4, "none", "none", "two_level", 0.04, 0.04),
                     sample_row(4, "none", "haar", "two_level", 0.05, 0.04)};
  EXPECT_NE(to_html(comparison).find("wins back nothing at W4 A4 KV4"), std::string::npos);
  comparison.rows[1] = sample_row(4, "none", "haar", "two_level", 0.038, 0.04);
  EXPECT_NE(to_html(comparison).find("within the noise"), std::string::npos);
}

TEST(Report, SummaryTellsWhatThePlanDoesAlone) {
  Comparison comparison = sample_comparison();
  comparison.rows = {sample_row(3, "none", "none", "two_level", 0.1, 0.1),
                     sample_row(3, "none", "none", "waterfill", 0.09, 0.1),
                     sample_row(3, "none", "haar", "waterfill", 0.05, 0.1)};
  EXPECT_NE(to_html(comparison).find("(haar, waterfill; the same plan without L: 10 %)"),
            std::string::npos);
}

TEST(Report, MarksTheBestOfEachGroup) {
  Comparison comparison = sample_comparison();
  comparison.rows = {sample_row(4, "none", "none", "two_level", 0.04, 0.04),
                     sample_row(4, "none", "haar", "two_level", 0.02, 0.04)};
  const std::string html = to_html(comparison);
  const size_t haar = html.find("k-haar\">haar</span></th>");
  ASSERT_NE(haar, std::string::npos);
  const std::string row = html.substr(haar, html.find("</tr>", haar) - haar);
  EXPECT_EQ(count(row, "<b>"), 6u);
}

TEST(Report, EscapesEveryName) {
  Comparison comparison = sample_comparison();
  const std::string evil = "<script>\"x\" & 'y'\n";
  comparison.model_name = comparison.text_name = comparison.machine = comparison.commit = evil;
  comparison.options.calibration = evil;
  comparison.picture.site = evil;
  comparison.picture.transformed[0].transform = evil;
  comparison.notes.push_back(evil);
  CompareRow& row = comparison.rows[10];
  row.sequence = row.plan = row.feature = row.linears[0].linear = evil;
  row.linears[1].linear = "layers.1." + evil;
  expect_sound(comparison);
  EXPECT_EQ(to_html(comparison).find("<script"), std::string::npos);
}

TEST(Report, SurvivesValuesThatAreNotFinite) {
  for (double bad : {kNan, kInf, -kInf, 0.0, -1.0, 1e300, 1e-300}) {
    Comparison comparison = sample_comparison();
    for (size_t i = 0; i < comparison.rows.size(); i += 3) {
      CompareRow& row = comparison.rows[i];
      row.scores.perplexity = row.scores.kl_mean = row.scores.kl_99 = row.scores.top1_agreement =
          bad;
      row.gap_closed_perplexity = row.gap_closed_kl = row.nll_difference = row.nll_low = bad;
      row.linears[i].db = bad;
    }
    comparison.picture.autocorrelation(3, 4) = static_cast<float>(bad);
    comparison.picture.energy_before[5] = bad;
    comparison.picture.transformed[0].energy[6] = bad;
    expect_sound(comparison);
    comparison.perplexity_reference = comparison.seconds = bad;
    comparison.picture.energy_before.assign(100, bad);
    for (auto& transformed : comparison.picture.transformed) transformed.energy.assign(100, bad);
    for (CompareRow& row : comparison.rows) {
      row.scores.perplexity = row.scores.kl_mean = bad;
      for (LinearSqnr& linear : row.linears) linear.db = bad;
    }
    expect_sound(comparison);
  }
}

TEST(Report, SurvivesMissingParts) {
  expect_sound({});
  Comparison comparison = sample_comparison();
  comparison.picture = {};
  comparison.rows.resize(1);
  comparison.rows[0].linears.clear();
  comparison.partial = true;
  expect_sound(comparison);
  const std::string html = to_html(comparison);
  EXPECT_NE(html.find("Partial result"), std::string::npos);
  EXPECT_EQ(count(html, "<figure "), 2u);
  EXPECT_NE(html.find("No row with a sequence transform"), std::string::npos);
}

TEST(Report, SurvivesOddPictures) {
  Comparison comparison = sample_comparison();
  comparison.picture = sample_picture(1);
  comparison.picture.autocorrelation = Matrix::zeros(2, 2);
  comparison.picture.transformed[1].two_level.clear();
  comparison.picture.transformed[2].energy.clear();
  comparison.rows[9].linears = {{"lm_head", 12.0}, {"layers.99999999999999.q", 3.0}};
  expect_sound(comparison);
}

TEST(Axis, HasRoundTicksThatCoverTheRange) {
  for (auto [low, high] : {std::pair{0.0, 0.71},
                           {24.5, 25.9},
                           {-3.0, 17.0},
                           {5.0, 5.0},
                           {1e-7, 3e-7},
                           {1e16, 1e16 + 2}}) {
    const report::Axis axis = report::linear_axis(low, high);
    EXPECT_LE(axis.low, low);
    EXPECT_GE(axis.high, high);
    EXPECT_GE(axis.ticks.size(), 2u);
    EXPECT_LE(axis.ticks.size(), 8u);
    EXPECT_DOUBLE_EQ(axis.place(axis.low, 10, 90), 10);
    EXPECT_DOUBLE_EQ(axis.place(axis.high, 10, 90), 90);
  }
}

TEST(Axis, LogarithmicDecadesAreEvenlySpaced) {
  const report::Axis axis = report::log_axis(0.003, 4e4);
  EXPECT_LE(axis.low, 0.003);
  EXPECT_GE(axis.high, 4e4);
  EXPECT_LE(axis.ticks.size(), 12u);
  const double decade = axis.place(10, 0, 1) - axis.place(1, 0, 1);
  EXPECT_NEAR(axis.place(1000, 0, 1) - axis.place(100, 0, 1), decade, 1e-12);
  const report::Axis narrow = report::log_axis(3, 90);
  EXPECT_LE(narrow.low, 3);
  EXPECT_GE(narrow.high, 90);
  EXPECT_GE(narrow.ticks.size(), 4u);
}

TEST(Numbers, ReadAsTheyShould) {
  EXPECT_EQ(report::number(-0.5, 1), "−0.5");
  EXPECT_EQ(report::number(-0.0001, 2), "0.00");
  EXPECT_EQ(report::number(kNan, 2), "–");
  EXPECT_EQ(report::short_number(0.01234), "0.0123");
  EXPECT_EQ(report::short_number(1234.5), "1234");
  EXPECT_EQ(report::short_number(3.2e9), "3.2·10⁹");
  EXPECT_EQ(report::percent(-0.124), "−12 %");
  EXPECT_EQ(report::coordinate(-0.001), "0");
  EXPECT_EQ(report::escape("a<b&\"'\x01"), "a&lt;b&amp;&quot;&#39;�");
}

}  // namespace
}  // namespace stamp
