package worker

// Confinement tells which of the walls that a kernel may offer stand around a
// worker.
type Confinement struct {
	// NoNewPrivileges means that no program it could start would gain any.
	NoNewPrivileges bool `json:"no_new_privileges"`
	// SystemCalls means that all system calls fail that it needs not.
	SystemCalls bool `json:"system_calls"`
}

// grants are the groups of system calls that a worker needs only for some of its
// guests.
type grants struct{ files, net bool }
