#pragma once
// What the files that talk to oneDNN share.
#include <dnnl.hpp>

#include "stamp/core/dtype.h"

namespace stamp {

/// The engine, made once, after oneDNN has been told which instruction set the program uses.
dnnl::engine& onednn_engine();

/// Throws std::bad_alloc where oneDNN would crash, because it finds no memory for generated code.
void require_onednn_memory();

/// A view of data that oneDNN will only read: it has no read-only memory of its own.
inline dnnl::memory onednn_view(const dnnl::memory::desc& layout, const void* data) {
  return dnnl::memory(layout, onednn_engine(), const_cast<void*>(data));
}

}  // namespace stamp
