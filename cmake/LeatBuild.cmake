# Compiler settings shared by every room, and the one way to declare a room.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Og -g1")  # with sanitizers a third cheaper to compile than -O1

find_program(LEAT_CCACHE ccache)
if(LEAT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${LEAT_CCACHE}")
endif()

# Where it is there, for a hundred programs are linked with all of RocksDB.
find_program(LEAT_MOLD mold)
if(LEAT_MOLD AND NOT LEAT_STATIC)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wimplicit-fallthrough -Wcast-align
                    -Wno-missing-field-initializers -Werror -fno-omit-frame-pointer
                    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these two inside the standard library's own inlined code.
  add_compile_options(-Wno-restrict -Wno-stringop-overflow)
endif()

if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Sources are included in one that is compiled, and this takes what they keep to themselves for a
  # header's.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(LEAT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A compiler's heap may grow before it looks for garbage: a tenth of these compilations.
  add_compile_options(--param=ggc-min-heapsize=262144)
endif()
if(LEAT_SANITIZE STREQUAL "address")
  # Under this sanitizer GCC 12 takes the standard library's own code for uninitialised.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
                      -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
elseif(LEAT_SANITIZE STREQUAL "thread")
  # Asio fences around handlers; the runtime cannot see fences, and sees Asio's mutexes instead.
  add_compile_options(-fsanitize=thread -Wno-tsan)
  add_link_options(-fsanitize=thread)
elseif(LEAT_SANITIZE STREQUAL "fuzzer")
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "LEAT_SANITIZE=fuzzer needs clang: ./dev fuzz sees to it")
  endif()
  # libFuzzer itself is linked to the targets in tests/fuzz alone.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(LEAT_SANITIZE)
  message(FATAL_ERROR
          "LEAT_SANITIZE is '${LEAT_SANITIZE}'; use address, thread, fuzzer or leave it empty")
endif()

# leat_library(NAME SOURCES ... DEPENDS ...): one room, one static library.
function(leat_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# leat_program(NAME SOURCES ... DEPENDS ...): one of the two programs that users run.
function(leat_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  if(LEAT_STATIC)
    # Names of hosts are looked up by libc alone, which is all that an empty image has; the linker
    # warns of it.
    target_link_options(${name} PRIVATE -static -s -Wl,--gc-sections)
  endif()
endfunction()

# leat_test(NAME [ONE_THREAD] [LONG] SOURCES ... DEPENDS ...): one GoogleTest program. Its sources are
# compiled some at a time: what they include costs more than what they say. With one thread it has no
# data races: it is built and run with all sanitizers but that one. A long one is begun before the
# others, not to run alone at their end.
function(leat_test name)
  cmake_parse_arguments(ARG "ONE_THREAD;LONG" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:leat_hang_report>
                 $<$<BOOL:${ARG_ONE_THREAD}>:$<TARGET_OBJECTS:leat_one_thread>>)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest_main GTest::gmock)
  list(LENGTH ARG_SOURCES sources)
  if(sources GREATER 1 AND NOT CMAKE_UNITY_BUILD)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
    target_compile_options(${name} PRIVATE
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)  # as above
  endif()
  if(LEAT_SANITIZE STREQUAL "address")
    # A third of a test's compilation, for checks of its own pointers; what it tests keeps them.
    target_compile_options(${name} PRIVATE -fno-sanitize=null,alignment,object-size)
  endif()
  if(ARG_ONE_THREAD AND LEAT_SANITIZE STREQUAL "thread")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  if(ARG_LONG)
    set_tests_properties(${name} PROPERTIES COST 1)
  endif()
endfunction()
