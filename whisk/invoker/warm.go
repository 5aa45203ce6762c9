package invoker

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"wasmwhisk/executor/action"
)

// warmActions keeps actions that were made ready, for as long as they are used
// often enough. It is safe for concurrent use.
type warmActions struct {
	bound int           // on how many are kept
	idle  time.Duration // that one may be unused

	mu      sync.Mutex
	actions map[string]*warmAction
	unused  *list.List // of *warmAction, the longest unused in front
}

// warmAction is an action that is ready, or is being made.
type warmAction struct {
	key, revision string
	ready         chan struct{} // closed when made or err is set
	made          *action.Action
	err           error

	// These are guarded by the lock of all.
	users  int
	gone   bool // nobody new gets it
	unused *list.Element
	since  time.Time // unused
}

// makeFunc makes an action ready.
type makeFunc func(context.Context) (*action.Action, action.Trial, error)

func newWarmActions(bound int, idle time.Duration) *warmActions {
	return &warmActions{bound: bound, idle: idle, actions: map[string]*warmAction{}, unused: list.New()}
}

// isMade tells whether there is nothing to wait for.
func (a *warmAction) isMade() bool {
	select {
	case <-a.ready:
		return a.err == nil
	default:
		return false
	}
}

// has tells whether the action of a key is there, made in this revision.
func (w *warmActions) has(key, revision string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.actions[key]
	return ok && a.revision == revision && a.isMade()
}

// await gives an action that was joined for use, to be given back to put. The
// first who joined makes it; who comes meanwhile waits. The trial is empty for
// all but the one who made it.
func (w *warmActions) await(ctx context.Context, a *warmAction, first bool, provide makeFunc) (*warmAction, action.Trial, error) {
	var trial action.Trial
	if first {
		trial = a.make(ctx, provide)
	}
	select {
	case <-a.ready:
	case <-ctx.Done():
		w.put(a)
		return nil, trial, context.Cause(ctx)
	}
	if a.err != nil {
		w.forget(a)
		w.put(a)
		return nil, trial, a.err
	}
	return a, trial, nil
}

// make makes the action. A panic is an error: of all who wait for it, too.
func (a *warmAction) make(ctx context.Context, provide makeFunc) (trial action.Trial) {
	defer close(a.ready)
	defer func() {
		if v := recover(); v != nil {
			a.err = fmt.Errorf("panicked: %v", v)
		}
	}()
	a.made, trial, a.err = provide(ctx)
	return trial
}

// join makes the caller a user of the action of a key, and tells whether it has
// to make it: if it is not there, or there in another revision.
func (w *warmActions) join(key, revision string) (a *warmAction, first bool) {
	w.mu.Lock()
	a, ok := w.actions[key]
	var outdated *warmAction
	if ok && a.revision != revision {
		outdated, ok = w.removeLocked(a), false
	}
	if !ok {
		a = &warmAction{key: key, revision: revision, ready: make(chan struct{})}
		w.actions[key] = a
	}
	a.users++
	if a.unused != nil {
		w.unused.Remove(a.unused)
		a.unused = nil
	}
	w.mu.Unlock()
	outdated.close()
	return a, !ok
}

// put ends a use.
func (w *warmActions) put(a *warmAction) {
	w.mu.Lock()
	a.users--
	var over *warmAction
	switch {
	case a.users > 0:
	case a.gone:
		over = a
	default:
		a.since = time.Now()
		a.unused = w.unused.PushBack(a)
		over = w.overLocked()
	}
	w.mu.Unlock()
	over.close()
}

// overLocked takes the longest unused action out if there are too many.
func (w *warmActions) overLocked() *warmAction {
	if len(w.actions) <= w.bound {
		return nil
	}
	return w.removeLocked(w.unused.Front().Value.(*warmAction))
}

// forget takes an action out that could not be made.
func (w *warmActions) forget(a *warmAction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !a.gone {
		w.removeLocked(a)
	}
}

// removeLocked takes an action out, and gives it back if it is to be closed:
// otherwise its last user does that.
func (w *warmActions) removeLocked(a *warmAction) *warmAction {
	delete(w.actions, a.key)
	a.gone = true
	if a.unused != nil {
		w.unused.Remove(a.unused)
		a.unused = nil
	}
	if a.users > 0 {
		return nil
	}
	return a
}

// close frees the action; nil and one that was never made have nothing to free.
func (a *warmAction) close() {
	if a != nil && a.made != nil {
		a.made.Close()
	}
}

// sweep removes what was unused for too long.
func (w *warmActions) sweep(now time.Time) {
	w.drop(func(a *warmAction) bool { return now.Sub(a.since) >= w.idle })
}

// closeAll removes whatever is not in use.
func (w *warmActions) closeAll() { w.drop(func(*warmAction) bool { return true }) }

// drop removes unused actions, the longest unused first, until one is to stay.
func (w *warmActions) drop(goes func(*warmAction) bool) {
	w.mu.Lock()
	var dropped []*warmAction
	for e := w.unused.Front(); e != nil && goes(e.Value.(*warmAction)); e = w.unused.Front() {
		dropped = append(dropped, w.removeLocked(e.Value.(*warmAction)))
	}
	w.mu.Unlock()
	for _, a := range dropped {
		a.close()
	}
}

// count is how many actions are kept.
func (w *warmActions) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.actions)
}
