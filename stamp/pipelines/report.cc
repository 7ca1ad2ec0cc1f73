// The HTML report of a comparison: one file without any reference to another.
#include <fmt/format.h>

#include "stamp/pipelines/report_parts.h"
#include "stamp/pipelines/svg.h"

namespace stamp {
namespace report {
namespace {

std::string fact(const std::string& name, const std::string& value) {
  if (value.empty()) return "";
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, escape(value));
}

std::string facts(const Comparison& c) {
  std::string html = "<dl>\n" + fact("Model", c.model_name) + fact("Text", c.text_name);
  html += fact("Windows", fmt::format("{} of {} tokens, {}", c.windows, c.options.context,
                                      c.options.bos_every_window ? "each begins with BOS"
                                                                 : "BOS in the first only"));
  html += fact("Calibration", c.options.calibration.filename().string());
  std::string reference = "perplexity " + perplexity_text(c.perplexity_reference);
  if (c.bits_per_byte_reference > 0)
    reference += ", " + number(c.bits_per_byte_reference, 4) + " bits per byte";
  html += fact("Unquantized model", reference);
  html += fact("Rows at 8 bits", std::to_string(c.options.high_tokens));
  html += fact("Machine", c.machine) + fact("Commit", c.commit);
  html += fact(
      "Run", fmt::format("{} s, peak memory {} MiB", number(c.seconds, 0), c.peak_rss_bytes >> 20));
  return html + "</dl>\n";
}

std::string header(const Comparison& c) {
  const bool simulated = c.options.execution == Execution::kSimulated;
  std::string html = "<h1>What STaMP changes for " +
                     escape(c.model_name.empty() ? "this model" : c.model_name) +
                     "</h1>\n<p><span class=\"badge\">" +
                     (simulated ? "Simulated quantization" : "Integer products") + "</span></p>\n";
  if (c.partial) {
    html +=
        "<p class=\"banner\" role=\"status\"><b>Partial result.</b> The run was interrupted: rows "
        "or windows are missing.</p>\n";
  }
  html += "<p class=\"lead\">" + summary(c) + "</p>\n";
  return html + "<p>" +
         (simulated ? "Simulated: every value is rounded exactly as its integer code would be, the "
                      "arithmetic is fp32. "
                    : "Products of quantized linears run on integers; K and V that span the window "
                      "are simulated. ") +
         "The figures are about quality, not speed.</p>\n" + facts(c);
}

std::string methods() {
  return "<p class=\"caption\"><b>Table 1.</b> Rows of one group spend about the same average "
         "number of "
         "bits. <b>Data bits</b> counts "
         "codes only; "
         "<b>incl. scales</b> adds scales and zero points. <b>Gap closed</b> is the share of what "
         "the row "
         "“no L” of the group loses against the unquantized model that the row wins back. "
         "<b>KL</b> is the "
         "divergence of the predicted distribution from the unquantized one, in nats per token. "
         "<b>ΔNLL</b> is the row minus “no L” in nats per token with a paired bootstrap 95 % "
         "interval over "
         "windows: below zero throughout means better. Best of each group in bold. “No L, "
         "unprotected” "
         "has no rows at 8 bits and so spends fewer bits.</p>\n";
}

std::string notes(const Comparison& c) {
  if (c.notes.empty()) return "";
  std::string html = "<h2>Notes</h2>\n<ul>\n";
  for (const std::string& note : c.notes) html += "<li>" + escape(note) + "</li>\n";
  return html + "</ul>\n";
}

}  // namespace

std::string figure(const std::string& id, const std::string& title, const std::string& legend,
                   const std::string& drawings, const std::string& caption) {
  return fmt::format(
      "<figure id=\"{}\">\n<h2>{}</h2>\n{}{}<figcaption>{}</figcaption>\n</figure>\n", id, title,
      legend.empty() ? "" : "<div class=\"legend\">\n" + legend + "</div>\n", drawings, caption);
}

}  // namespace report

std::string to_html(const Comparison& comparison) {
  using namespace report;
  const std::string title = escape("STaMP: " + comparison.model_name);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>" +
      title + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n";
  html += header(comparison) + "<h2>Results</h2>\n" + results_table(comparison) + methods();
  html += divergence_figure(comparison) + perplexity_figure(comparison);
  html += autocorrelation_figure(comparison) + energy_figure(comparison) + sqnr_figure(comparison);
  html += notes(comparison);
  return html +
         "<footer>Written by <code>stamp compare</code>. STaMP: arXiv 2510.26771.</footer>\n"
         "</main>\n</body>\n</html>\n";
}

}  // namespace stamp
