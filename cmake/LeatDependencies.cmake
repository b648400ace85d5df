# The packages we stand on, all from Debian 12. Header-only where Debian has no static archive.

find_package(Threads REQUIRED)

# What record batches are compressed with. RocksDB uses the same archives.
add_library(leat_codecs INTERFACE)
target_compile_definitions(leat_codecs INTERFACE ZLIB_CONST)
foreach(codec snappy lz4 zstd z)
  if(LEAT_STATIC_ROCKSDB)
    find_library(LEAT_${codec}_ARCHIVE "lib${codec}.a" REQUIRED)
    target_link_libraries(leat_codecs INTERFACE "${LEAT_${codec}_ARCHIVE}")
  else()
    find_library(LEAT_${codec}_SHARED "lib${codec}.so" REQUIRED)
    target_link_libraries(leat_codecs INTERFACE "${LEAT_${codec}_SHARED}")
  endif()
endforeach()

add_library(leat_rocksdb INTERFACE)
if(LEAT_STATIC_ROCKSDB)
  foreach(archive rocksdb snappy lz4 zstd bz2 z)
    find_library(LEAT_${archive}_ARCHIVE "lib${archive}.a" REQUIRED)
    target_link_libraries(leat_rocksdb INTERFACE "${LEAT_${archive}_ARCHIVE}")
  endforeach()
  target_link_libraries(leat_rocksdb INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
else()
  find_library(LEAT_ROCKSDB_SHARED librocksdb.so REQUIRED)
  target_link_libraries(leat_rocksdb INTERFACE "${LEAT_ROCKSDB_SHARED}" Threads::Threads)
endif()

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
target_compile_definitions(leat_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_include_directories(leat_asio SYSTEM INTERFACE "${LEAT_ASIO_INCLUDE}")
target_link_libraries(leat_asio INTERFACE Threads::Threads)

find_path(LEAT_CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
find_path(LEAT_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
find_path(LEAT_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)

if(LEAT_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(LEAT_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()
