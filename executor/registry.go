package executor

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"wasmwhisk/whisk"
)

// registry holds the containers that are found by id, and decides which must go.
type registry struct {
	capacity Capacity
	// create makes the container of an id; it must not call the registry.
	create func(id string) *container

	mu         sync.Mutex
	containers map[string]*container
	closed     bool
}

func newRegistry(capacity Capacity, create func(string) *container) *registry {
	return &registry{capacity: capacity, create: create, containers: map[string]*container{}}
}

// acquire gives the container of an id for use, to be given back to release.
func (r *registry) acquire(id string) (*container, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if ok {
		c.users++
	}
	return c, ok
}

// acquireOrCreate is acquire for an id that may be new. Where there is no room,
// the longest idle containers make some.
func (r *registry) acquireOrCreate(id string) (*container, error) {
	r.mu.Lock()
	c, dropped, err := r.acquireOrCreateLocked(id)
	r.mu.Unlock()
	disposeAll(dropped)
	return c, err
}

func (r *registry) acquireOrCreateLocked(id string) (c *container, dropped []*container, err error) {
	if c, ok := r.containers[id]; ok {
		c.users++
		return c, nil, nil
	}
	if r.closed {
		return nil, nil, errDraining()
	}
	if len(r.containers) >= r.capacity.Containers {
		dropped = r.shrinkLocked()
	}
	if len(r.containers) >= r.capacity.Containers {
		return nil, dropped, &whisk.Error{Kind: whisk.Unavailable, Message: "The executor has no room for another container."}
	}
	c = r.create(id)
	c.users = 1
	r.containers[id] = c
	return c, dropped, nil
}

// release ends a use. The last user of a removed container disposes of it.
func (r *registry) release(c *container) {
	r.mu.Lock()
	c.users--
	c.lastUsed = time.Now()
	last := c.removed && c.users == 0
	r.mu.Unlock()
	if last {
		disposeAll([]*container{c})
	}
}

// destroy removes the container of an id, if there is one. Its activations run
// to their end.
func (r *registry) destroy(id string) {
	r.mu.Lock()
	c, ok := r.containers[id]
	unused := ok && r.removeLocked(c)
	r.mu.Unlock()
	if unused {
		disposeAll([]*container{c})
	}
}

// removeLocked takes a container out and tells whether nobody uses it.
func (r *registry) removeLocked(c *container) bool {
	delete(r.containers, c.id)
	c.removed = true
	c.remove()
	return c.users == 0
}

// sweep removes the containers that were idle for too long and, past the high
// watermark, the longest idle until the low one. It never touches one in use.
func (r *registry) sweep(now time.Time) (removed int) {
	r.mu.Lock()
	idle := r.idleLocked()
	expired := 0
	for expired < len(idle) && now.Sub(idle[expired].lastUsed) >= r.capacity.Idle {
		expired++
	}
	left := len(idle) - expired
	if r.overHigh(left) {
		left = r.low(left)
	}
	dropped := r.dropLocked(idle[:len(idle)-left])
	r.mu.Unlock()
	disposeAll(dropped)
	return len(dropped)
}

// overHigh tells whether that many idle containers reach the high watermark.
func (r *registry) overHigh(idle int) bool {
	return float64(idle) >= float64(r.capacity.Containers)*r.capacity.High
}

// low is how many of the idle containers the low watermark leaves.
func (r *registry) low(idle int) int {
	return min(idle, int(math.Floor(float64(r.capacity.Containers)*r.capacity.Low)))
}

// shrinkLocked makes room: down to the low watermark, and by one at least.
func (r *registry) shrinkLocked() []*container {
	idle := r.idleLocked()
	keep := min(r.low(len(idle)), max(len(idle)-1, 0))
	return r.dropLocked(idle[:len(idle)-keep])
}

// idleLocked lists the containers that nobody uses, the longest idle first.
func (r *registry) idleLocked() []*container {
	var idle []*container
	for _, c := range r.containers {
		if c.users == 0 {
			idle = append(idle, c)
		}
	}
	slices.SortFunc(idle, func(a, b *container) int {
		return cmp.Or(a.lastUsed.Compare(b.lastUsed), cmp.Compare(a.id, b.id))
	})
	return idle
}

func (r *registry) dropLocked(idle []*container) []*container {
	for _, c := range idle {
		r.removeLocked(c)
	}
	return idle
}

// count is how many containers there are.
func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.containers)
}

// close removes all containers and takes no new ones.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	var unused []*container
	for _, c := range r.containers {
		if r.removeLocked(c) {
			unused = append(unused, c)
		}
	}
	r.mu.Unlock()
	disposeAll(unused)
}

func errDraining() error {
	return &whisk.Error{Kind: whisk.Unavailable, Message: "The executor is shutting down."}
}

// disposeAll runs without the lock: it closes modules and removes files.
func disposeAll(containers []*container) {
	for _, c := range containers {
		c.swap(nil)
		c.dispose()
	}
}
