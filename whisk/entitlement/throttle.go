package entitlement

import (
	"cmp"
	"sync"
	"time"

	"wasmwhisk/whisk"
)

// Rates bound what a namespace may have done. Those of a subject's own go first.
type Rates struct {
	InvocationsPerMinute  int // 0 means 60, less means no bound
	FiresPerMinute        int // 0 means 60, less means no bound
	ConcurrentInvocations int // 0 means 30, less means no bound
}

// OpenWhisk's rates as its standalone server sets them.
const (
	defaultPerMinute  = 60
	defaultConcurrent = 30
)

// WithDefaults is r with OpenWhisk's rates in the place of zeros.
func (r Rates) WithDefaults() Rates {
	r.InvocationsPerMinute = cmp.Or(r.InvocationsPerMinute, defaultPerMinute)
	r.FiresPerMinute = cmp.Or(r.FiresPerMinute, defaultPerMinute)
	r.ConcurrentInvocations = cmp.Or(r.ConcurrentInvocations, defaultConcurrent)
	return r
}

// Of gives the rates of somebody, where own limits are in the place of r's.
func (r Rates) Of(who *whisk.Identity) Rates {
	replace(&r.InvocationsPerMinute, who.Limits.InvocationsPerMinute)
	replace(&r.FiresPerMinute, who.Limits.FiresPerMinute)
	replace(&r.ConcurrentInvocations, who.Limits.ConcurrentInvocations)
	return r
}

// replace puts a limit of somebody's own, if there is one, in the place of a rate.
func replace(rate, own *int) {
	if own != nil {
		*rate = *own
	}
}

// Throttle counts what namespaces do. Its methods may be called from several
// goroutines at once.
type Throttle struct {
	rates Rates

	mu         sync.Mutex
	namespaces map[whisk.EntityName]*usage
	swept      int64 // the minute in which idle namespaces were forgotten
}

// usage is what one namespace does.
type usage struct {
	invocations, fires perMinute
	running            int
}

// perMinute counts in minutes of the clock on the wall.
type perMinute struct {
	minute int64
	count  int
}

// add counts one more, and gives how many there are in this minute.
func (m *perMinute) add(minute int64) int {
	if m.minute != minute {
		*m = perMinute{minute: minute}
	}
	m.count++
	return m.count
}

// NewThrottle makes a throttle with the rates of an installation.
func NewThrottle(rates Rates) *Throttle {
	return &Throttle{rates: rates.WithDefaults(), namespaces: map[whisk.EntityName]*usage{}}
}

// Rates are those of somebody.
func (t *Throttle) Rates(who *whisk.Identity) Rates { return t.rates.Of(who) }

// Invoke asks for one more invocation. If it is granted, ended must be called
// when there is nothing left of it; it may be called twice. What is refused
// counts for the minute, too.
func (t *Throttle) Invoke(who *whisk.Identity) (ended func(), err error) {
	rates := t.rates.Of(who)
	t.mu.Lock()
	defer t.mu.Unlock()
	u, minute := t.usageLocked(who.Namespace)
	if err := checkRate(u.invocations.add(minute), rates.InvocationsPerMinute); err != nil {
		return nil, err
	}
	if allowed := rates.ConcurrentInvocations; allowed >= 0 && u.running >= allowed {
		return nil, whisk.Errorf(whisk.TooManyRequests,
			"Too many concurrent requests in flight (count: %d, allowed: %d).", u.running, allowed)
	}
	u.running++
	return sync.OnceFunc(func() { t.end(u) }), nil
}

func (t *Throttle) end(u *usage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.running--
}

// Fire asks for one more fire of a trigger.
func (t *Throttle) Fire(who *whisk.Identity) error {
	rates := t.rates.Of(who)
	t.mu.Lock()
	defer t.mu.Unlock()
	u, minute := t.usageLocked(who.Namespace)
	return checkRate(u.fires.add(minute), rates.FiresPerMinute)
}

func checkRate(count, allowed int) error {
	if allowed < 0 || count <= allowed {
		return nil
	}
	return whisk.Errorf(whisk.TooManyRequests,
		"Too many requests in the last minute (count: %d, allowed: %d).", count, allowed)
}

// usageLocked gives what a namespace does, and the minute that it is.
func (t *Throttle) usageLocked(ns whisk.EntityName) (*usage, int64) {
	minute := time.Now().Unix() / 60
	if t.swept != minute {
		t.sweepLocked(minute)
	}
	u := t.namespaces[ns]
	if u == nil {
		u = &usage{}
		t.namespaces[ns] = u
	}
	return u, minute
}

// sweepLocked forgets namespaces that did nothing in this minute, so that they
// take no memory.
func (t *Throttle) sweepLocked(minute int64) {
	t.swept = minute
	for ns, u := range t.namespaces {
		if u.running == 0 && u.invocations.minute != minute && u.fires.minute != minute {
			delete(t.namespaces, ns)
		}
	}
}
