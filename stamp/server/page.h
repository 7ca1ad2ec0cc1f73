#pragma once
// The page at "/": a conversation, and pictures where the server draws.
#include <string>

namespace stamp {

/// One file that fetches nothing from elsewhere.
const std::string& page_html();

}  // namespace stamp
