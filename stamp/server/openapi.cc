#include "stamp/server/openapi.h"

#include "stamp/core/version.h"
#include "stamp/server/completion_request.h"

namespace stamp {
namespace {

Json with_null(Json schema) {
  schema["type"] = Json::array({schema["type"], "null"});
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  return schema;
}
Json integer(int64_t lowest, int64_t highest) {
  return {{"type", "integer"}, {"minimum", lowest}, {"maximum", highest}};
}
Json number(double lowest, double highest) {
  return {{"type", "number"}, {"minimum", lowest}, {"maximum", highest}};
}
Json text(int64_t shortest = 0) { return {{"type", "string"}, {"minLength", shortest}}; }
Json list(Json items, int64_t fewest, int64_t most) {
  return {{"type", "array"}, {"items", std::move(items)}, {"minItems", fewest}, {"maxItems", most}};
}
Json one_of(std::vector<std::string> values) { return {{"type", "string"}, {"enum", values}}; }
Json any_of(std::vector<Json> schemas) { return {{"anyOf", schemas}}; }
Json object(Json properties, std::vector<std::string> required, bool open = false) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", required},
          {"additionalProperties", open}};
}
Json reference(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

/// What both kinds of completions take.
Json common_properties(const ServedModel& model) {
  const Json stop = any_of({text(1), list(text(1), 0, 4), {{"type", "null"}}});
  const Json stream_options =
      with_null(object({{"include_usage", with_null({{"type", "boolean"}})}}, {}));
  return {{"model", one_of({model.name})},
          {"max_tokens", with_null(integer(1, model.max_tokens))},
          {"temperature", with_null(number(0, 2))},
          {"top_p", with_null(number(0, 1))},
          {"top_k", with_null(integer(0, INT32_MAX))},
          {"repetition_penalty", with_null(number(0.01, 100))},
          {"seed", with_null(integer(INT64_MIN, INT64_MAX))},
          {"stop", stop},
          {"n", with_null(integer(1, model.max_choices))},
          {"stream", with_null({{"type", "boolean"}})},
          {"stream_options", stream_options},
          {"presence_penalty", with_null(number(0, 0))},
          {"frequency_penalty", with_null(number(0, 0))},
          {"logit_bias", with_null({{"type", "object"}, {"maxProperties", 0}})},
          {"user", with_null(text())}};
}

Json completion_body(const ServedModel& model) {
  const LlmConfig& config = model.text.model->config();
  Json properties = common_properties(model);
  const Json ids = list(integer(0, config.vocab_size - 1), 1, config.max_positions - 1);
  properties["prompt"] =
      any_of({text(1), ids, list(text(1), 1, model.max_choices), list(ids, 1, model.max_choices)});
  properties["logprobs"] = with_null(integer(0, 5));
  return object(std::move(properties), {"model", "prompt"});
}

Json chat_body(const ServedModel& model) {
  Json properties = common_properties(model);
  const Json part = object({{"type", one_of({"text"})}, {"text", text()}}, {"type", "text"});
  const Json message = object({{"role", one_of({"system", "developer", "user", "assistant"})},
                               {"content", any_of({text(), list(part, 1, kMostContentParts)})},
                               {"name", with_null(text())}},
                              {"role", "content"});
  properties["messages"] = list(message, 1, 4096);
  properties["max_completion_tokens"] = with_null(integer(1, model.max_tokens));
  properties["logprobs"] = with_null({{"type", "boolean"}});
  properties["top_logprobs"] = with_null(integer(0, 20));
  return object(std::move(properties), {"model", "messages"});
}

Json image_body(const std::string& model) {
  return object({{"model", with_null(one_of({model}))},
                 {"prompt", text(1)},
                 {"negative_prompt", with_null(text())},
                 {"n", with_null(integer(1, 4))},
                 {"size",
                  {{"type", Json::array({"string", "null"})},
                   {"pattern", "^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"},
                   {"description", "Pixels; the pipeline refuses sizes that it cannot draw."}}},
                 {"response_format", with_null(one_of({"b64_json"}))},
                 {"seed", with_null(integer(0, INT32_MAX))},
                 {"steps", with_null(integer(1, 200))},
                 {"guidance", with_null(number(0, 100))},
                 {"user", with_null(text())}},
                {"prompt"});
}

Json completion_result(const char* payload) {
  const Json count = {{"type", "integer"}, {"minimum", 0}};
  Json choice = object({{"index", count},
                        {"finish_reason", one_of({"stop", "length"})},
                        {"logprobs", {{"type", Json::array({"object", "null"})}}}},
                       {"index", "finish_reason", payload}, true);
  choice["properties"][payload] =
      std::string(payload) == "text"
          ? Json{{"type", "string"}}
          : object({{"role", one_of({"assistant"})}, {"content", text()}}, {"role", "content"},
                   true);
  const Json usage =
      object({{"prompt_tokens", count}, {"completion_tokens", count}, {"total_tokens", count}},
             {"prompt_tokens", "completion_tokens", "total_tokens"}, true);
  return object({{"id", text()},
                 {"object", text()},
                 {"created", count},
                 {"model", text()},
                 {"choices", {{"type", "array"}, {"items", choice}}},
                 {"usage", usage}},
                {"id", "object", "created", "model", "choices", "usage"});
}

Json schemas(const ServedModel& model, const std::string& image_model) {
  const Json word = {{"type", Json::array({"string", "null"})}};
  const Json error =
      object({{"message", text()}, {"type", text()}, {"param", word}, {"code", word}},
             {"message", "type", "param", "code"});
  const Json card = object({{"id", text()},
                            {"object", one_of({"model"})},
                            {"created", {{"type", "integer"}}},
                            {"owned_by", text()}},
                           {"id", "object", "created", "owned_by"}, true);
  Json result = {{"Error", object({{"error", error}}, {"error"})},
                 {"Model", card},
                 {"Models", object({{"object", one_of({"list"})},
                                    {"data", {{"type", "array"}, {"items", reference("Model")}}}},
                                   {"object", "data"})},
                 {"Completion", completion_body(model)},
                 {"CompletionResult", completion_result("text")},
                 {"Chat", chat_body(model)},
                 {"ChatResult", completion_result("message")}};
  if (image_model.empty()) return result;
  const Json picture = object({{"b64_json", text(1)}, {"simulated", {{"type", "boolean"}}}},
                              {"b64_json", "simulated"});
  result["Image"] = image_body(image_model);
  result["ImageResult"] = object(
      {{"created", {{"type", "integer"}}}, {"data", {{"type", "array"}, {"items", picture}}}},
      {"created", "data"});
  return result;
}

Json content(const std::string& type, Json schema) {
  return {{"content", {{type, {{"schema", std::move(schema)}}}}}};
}

Json errors(std::initializer_list<std::pair<const char*, const char*>> kinds) {
  Json result = Json::object();
  for (const auto& [status, meaning] : kinds) {
    result[status] = content("application/json", reference("Error"));
    result[status]["description"] = meaning;
  }
  return result;
}

Json ok(Json answer, const char* description) {
  answer["description"] = description;
  return answer;
}

/// An operation that takes a JSON body.
Json post(const std::string& summary, const std::string& body, Json answer) {
  Json operation = {{"summary", summary},
                    {"requestBody", content("application/json", reference(body))},
                    {"responses", errors({{"400", "The request is wrong; the error says where."},
                                          {"401", "The key is missing or wrong."},
                                          {"403", "The Host header is not one of this machine."},
                                          {"404", "There is no such model."},
                                          {"413", "The body is too large."},
                                          {"415", "The body is not application/json."},
                                          {"429", "Too many requests are in line."},
                                          {"500", "The model failed."},
                                          {"503", "The server is shutting down."},
                                          {"504", "The answer took too long."}})}};
  operation["requestBody"]["required"] = true;
  operation["responses"]["200"] = std::move(answer);
  return {{"post", std::move(operation)}};
}

Json get(const std::string& summary, Json answer, bool open) {
  Json operation = {
      {"summary", summary},
      {"responses", errors({{"401", "The key is missing or wrong."},
                            {"403", "The Host header is not one of this machine."}})}};
  operation["responses"]["200"] = std::move(answer);
  if (open) operation["security"] = Json::array();
  return {{"get", std::move(operation)}};
}

Json events_or(const std::string& result) {
  Json answer = content("application/json", reference(result));
  answer["content"]["text/event-stream"]["schema"] =  // of one event
      object({{"data", text()}}, {"data"}, true);
  return ok(std::move(answer), "The whole answer, or events that end with [DONE].");
}

Json paths(const std::string& image_model) {
  const Json plain = content("text/plain", {{"type", "string"}});
  Json result = {
      {"/health",
       get("Whether requests are accepted.",
           ok(content("application/json", object({{"status", one_of({"ok"})}}, {"status"})),
              "They are."),
           true)},
      {"/metrics", get("Prometheus metrics.", ok(plain, "Text exposition format."), false)},
      {"/v1/models",
       get("The models that requests may name.",
           ok(content("application/json", reference("Models")), "All of them."), false)},
      {"/v1/completions", post("Continues a text.", "Completion", events_or("CompletionResult"))},
      {"/v1/chat/completions", post("Answers a conversation.", "Chat", events_or("ChatResult"))}};
  result["/health"]["get"]["responses"]["503"] =
      ok(content("application/json", reference("Error")), "The server is shutting down.");
  if (!image_model.empty())
    result["/v1/images/generations"] =
        post("Draws pictures.", "Image",
             ok(content("application/json", reference("ImageResult")), "PNG files in base64."));
  return result;
}

}  // namespace

Json openapi(const ServedModel& model, const std::string& image_model, bool keys) {
  Json result = {{"openapi", "3.1.0"},
                 {"info", {{"title", "stamp serve"}, {"version", version()}}},
                 {"paths", paths(image_model)},
                 {"components", {{"schemas", schemas(model, image_model)}}}};
  if (!keys) return result;
  result["components"]["securitySchemes"]["key"] = {{"type", "http"}, {"scheme", "bearer"}};
  result["security"] = Json::array({{{"key", Json::array()}}});
  return result;
}

}  // namespace stamp
