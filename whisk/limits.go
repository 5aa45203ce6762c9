package whisk

import "time"

// OpenWhisk's limits as its standalone server sets them.
const (
	MinTimeout     = 100 * time.Millisecond
	DefaultTimeout = time.Minute
	MaxTimeout     = 5 * time.Minute

	MinMemoryBytes     = 128 << 20
	DefaultMemoryBytes = 256 << 20
	MaxMemoryBytes     = 512 << 20

	DefaultLogBytes = 10 << 20
	MaxLogBytes     = 10 << 20

	// MaxPayloadBytes bounds the input of an activation, MaxResultBytes its
	// result.
	MaxPayloadBytes = 1 << 20
	MaxResultBytes  = 1 << 20

	// MaxCodeBytes bounds the code of an action as it is stored: decoded from
	// base64, but still zipped.
	MaxCodeBytes = 48 << 20
)
