package precompile

import "syscall"

// mapWhole has the kernel fill the page tables at once.
const mapWhole = syscall.MAP_POPULATE
