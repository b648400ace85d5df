# The packages we stand on, all from Debian 12. Header-only where Debian has no static archive.

find_package(Threads REQUIRED)

# A package from its archive, or from its shared library: always so in a target with the property
# LEAT_SHARED_PACKAGES, for Debian's archives are not position-independent.
function(leat_link_package target name)
  find_library(LEAT_${name}_SHARED "lib${name}.so" REQUIRED)
  set(chosen "${LEAT_${name}_SHARED}")
  if(LEAT_STATIC_ROCKSDB)
    find_library(LEAT_${name}_ARCHIVE "lib${name}.a" REQUIRED)
    set(shared "$<BOOL:$<TARGET_PROPERTY:LEAT_SHARED_PACKAGES>>")
    set(chosen "$<IF:${shared},${LEAT_${name}_SHARED},${LEAT_${name}_ARCHIVE}>")
  endif()
  target_link_libraries(${target} INTERFACE "${chosen}")
endfunction()

# What record batches are compressed with. RocksDB uses the same archives.
add_library(leat_codecs INTERFACE)
target_compile_definitions(leat_codecs INTERFACE ZLIB_CONST)
foreach(codec snappy lz4 zstd z)
  leat_link_package(leat_codecs ${codec})
endforeach()

add_library(leat_rocksdb INTERFACE)
leat_link_package(leat_rocksdb rocksdb)
if(LEAT_STATIC_ROCKSDB)  # what RocksDB's archive needs in turn
  foreach(package snappy lz4 zstd bz2 z)
    leat_link_package(leat_rocksdb ${package})
  endforeach()
endif()
target_link_libraries(leat_rocksdb INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

find_library(LEAT_URING_ARCHIVE liburing.a REQUIRED)
add_library(leat_uring INTERFACE)
target_link_libraries(leat_uring INTERFACE "${LEAT_URING_ARCHIVE}")

find_library(LEAT_FLATBUFFERS_ARCHIVE libflatbuffers.a REQUIRED)
find_program(LEAT_FLATC flatc REQUIRED)

# Debian ships spdlog and fmt as shared libraries only; header-only keeps leatd in one file.
find_path(LEAT_SPDLOG_INCLUDE spdlog/spdlog.h REQUIRED)
add_library(leat_spdlog INTERFACE)
target_compile_definitions(leat_spdlog INTERFACE SPDLOG_HEADER_ONLY SPDLOG_FMT_EXTERNAL
                           FMT_HEADER_ONLY)
target_include_directories(leat_spdlog SYSTEM INTERFACE "${LEAT_SPDLOG_INCLUDE}")
target_link_libraries(leat_spdlog INTERFACE Threads::Threads)

find_path(LEAT_ASIO_INCLUDE asio.hpp REQUIRED)
add_library(leat_asio INTERFACE)
# Without the last, how Asio allocates depends on what a source includes before it.
target_compile_definitions(leat_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED
                           ASIO_DISABLE_STD_ALIGNED_ALLOC)
target_include_directories(leat_asio SYSTEM INTERFACE "${LEAT_ASIO_INCLUDE}")
target_link_libraries(leat_asio INTERFACE Threads::Threads)

find_path(LEAT_CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
find_path(LEAT_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
find_path(LEAT_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)

# What the patterns stand on, each only where it is there: databases are the applications'.
find_library(LEAT_SQLITE sqlite3)
find_path(LEAT_SQLITE_INCLUDE sqlite3.h)
find_library(LEAT_PQ pq)
find_path(LEAT_PQ_INCLUDE libpq-fe.h PATH_SUFFIXES postgresql)

if(LEAT_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(LEAT_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()
