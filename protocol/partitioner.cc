#include "protocol/partitioner.h"
