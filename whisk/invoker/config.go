package invoker

import (
	"cmp"
	"log/slog"
	"time"
)

// Capacity bounds what the node takes on. Zero fields mean the defaults.
type Capacity struct {
	Activations int   // that run at once; default 256
	MemoryBytes int64 // that those may come to use by their limits; default 64 GiB
	Queue       int   // activations of one action that wait; default 1000

	Warm int           // actions kept ready; default 4096
	Idle time.Duration // that one of them may be unused; default 10 minutes
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Capacity = c.Capacity.withDefaults()
	return c
}

func (c Capacity) withDefaults() Capacity {
	c.Activations = cmp.Or(c.Activations, 256)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 64<<30)
	c.Queue = cmp.Or(c.Queue, 1000)
	c.Warm = cmp.Or(c.Warm, 4096)
	c.Idle = cmp.Or(c.Idle, 10*time.Minute)
	return c
}
