# Included by CMake before llama-cpp-python's own project() line (CMAKE_PROJECT_INCLUDE), the only place from
# which this switch gets through: the package forces it on afterwards. The common library holds llama.cpp's
# command line programs, which nothing here uses; leaving it out saves more than half of the build.
set(LLAMA_BUILD_COMMON OFF)
