#include "storage/file_io.h"
