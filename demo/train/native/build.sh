#!/bin/bash
# Builds libnative.so against the OpenMP runtime that PyTorch carries: one thread pool for both.
set -e
cd "$(dirname "$0")"
TORCH=$(${PYTHON:-python3} -c "import os, torch; print(os.path.dirname(torch.__file__))")/lib
FLAGS="-O3 -march=${ARCH:-native} -fopenmp -fPIC"
FLAGS+=" -fassociative-math -fno-signed-zeros -fno-trapping-math -fno-math-errno"
objects=$(mktemp -d)
for name in hgemm softmax attention; do g++ $FLAGS -c $name.cpp -o $objects/$name.o; done
g++ -shared -o libnative.so $objects/*.o "$TORCH"/libgomp.so* -Wl,-rpath,"$TORCH"
rm -r "$objects"
