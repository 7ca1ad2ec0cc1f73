#pragma once
// The options of verify(); see core/options.h.
#include "stamp/core/options.h"
#include "stamp/pipelines/verify.h"

namespace stamp {

template <class Visitor>
void visit_options(VerifyOptions& o, Visitor&& visit) {
  visit.argument("dir", o.directory, "folder of reference outputs");
  visit("only", o.only, "prefixes of case names, such as llm,tok/llama3");
}

}  // namespace stamp
