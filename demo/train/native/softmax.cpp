// Softmax cross entropy, in place: logits become their gradient times `scale`.
#include "half.h"

// Returns the summed loss in nats. columns must be a multiple of 16.
extern "C" double cross_entropy(float* logits, long rows, long columns, const long* targets,
                                float scale) {
  double total = 0;
#pragma omp parallel for reduction(+ : total) schedule(dynamic, 16)
  for (long i = 0; i < rows; ++i) {
    float* row = logits + i * columns;
    __m512 top = _mm512_set1_ps(-1e30f), sum = _mm512_setzero_ps();
    for (long j = 0; j < columns; j += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(row + j));
    float highest = _mm512_reduce_max_ps(top), target = row[targets[i]];
    top = _mm512_set1_ps(highest);
    for (long j = 0; j < columns; j += 16) {
      __m512 e = exp16(_mm512_sub_ps(_mm512_loadu_ps(row + j), top));
      sum = _mm512_add_ps(sum, e);
      _mm512_storeu_ps(row + j, e);
    }
    float whole = _mm512_reduce_add_ps(sum);
    __m512 factor = _mm512_set1_ps(scale / whole);
    for (long j = 0; j < columns; j += 16)
      _mm512_storeu_ps(row + j, _mm512_mul_ps(_mm512_loadu_ps(row + j), factor));
    row[targets[i]] -= scale;
    total += __builtin_log(whole) + highest - target;
  }
  return total;
}
