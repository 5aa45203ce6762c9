package store

import (
	"context"
	"time"

	"wasmwhisk/whisk"
)

// Keep says how long activation records are kept; the zero value keeps all.
type Keep struct {
	Age   time.Duration // since their start; 0 is no bound
	Count int           // of all namespaces; 0 is no bound
	// Every is how often it is looked after; 0 is once a minute.
	Every time.Duration
}

// Run removes what is too much, at once and then every so often, until ctx ends.
// What goes wrong is told to report and tried again the next time.
func (k Keep) Run(ctx context.Context, s Activations, report func(removed int, err error)) {
	if k.Age == 0 && k.Count == 0 {
		return
	}
	every := k.Every
	if every == 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		removed, err := s.Retain(ctx, k.retention(time.Now()))
		if ctx.Err() == nil {
			report(removed, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (k Keep) retention(now time.Time) Retention {
	r := Retention{Count: k.Count}
	if k.Age > 0 {
		r.Since = whisk.At(now.Add(-k.Age))
	}
	return r
}
