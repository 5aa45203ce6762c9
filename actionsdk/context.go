package actionsdk

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Context is what an action knows about its activation. It ends at the
// activation's deadline. Fields that the caller left out are empty.
type Context struct {
	context.Context //nolint:containedctx // it is a context itself

	ActivationID  string
	TransactionID string
	Namespace     string // of the caller
	ActionName    string // qualified, such as "/guest/hello"
	ActionVersion string // such as "0.0.1"
	APIHost       string // of OpenWhisk, for calling back
	APIKey        string // of the caller; only where the action asked for it
}

// Logf writes a line to stderr, which is a log of the activation. So are the
// lines that packages log and log/slog write unless told otherwise.
func (Context) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// newContext reads the environment, where every form of an action finds its
// activation.
func newContext(env environ) (Context, context.CancelFunc) {
	var c Context
	var deadline string
	for name, value := range env.all {
		switch name {
		case "__OW_ACTIVATION_ID":
			c.ActivationID = value
		case "__OW_TRANSACTION_ID":
			c.TransactionID = value
		case "__OW_NAMESPACE":
			c.Namespace = value
		case "__OW_ACTION_NAME":
			c.ActionName = value
		case "__OW_ACTION_VERSION":
			c.ActionVersion = value
		case "__OW_API_HOST":
			c.APIHost = value
		case "__OW_API_KEY":
			c.APIKey = value
		case "__OW_DEADLINE":
			deadline = value
		}
	}
	ctx, cancel := withDeadline(deadline)
	c.Context = ctx
	return c, cancel
}

// environ is an environment in one piece: each name=value ends with a zero byte.
type environ string

// ownEnviron is the environment of this process.
func ownEnviron() environ {
	var all strings.Builder
	for _, entry := range os.Environ() {
		all.WriteString(entry)
		all.WriteByte(0)
	}
	return environ(all.String())
}

// all goes through the variables.
func (e environ) all(yield func(name, value string) bool) {
	for rest := string(e); rest != ""; {
		var entry string
		entry, rest, _ = strings.Cut(rest, "\x00")
		if name, value, ok := strings.Cut(entry, "="); ok && !yield(name, value) {
			return
		}
	}
}

// withDeadline takes the time in milliseconds since 1970, in text. What is none
// sets no deadline: the host keeps its own.
func withDeadline(text string) (context.Context, context.CancelFunc) {
	c := new(deadlineContext)
	if text != "" {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			c.deadline = time.UnixMilli(ms)
		}
	}
	return c, c.cancel
}

// deadlineContext becomes a context of the standard library when somebody wants
// to wait for it: most actions never do, and that costs a module more than the
// rest of its context.
type deadlineContext struct {
	deadline time.Time // zero for none

	mu     sync.Mutex
	timed  context.Context //nolint:containedctx // it is what this one stands for
	stop   context.CancelFunc
	closed bool
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *deadlineContext) Done() <-chan struct{}       { return c.real().Done() }
func (c *deadlineContext) Err() error                  { return c.real().Err() }
func (c *deadlineContext) Value(key any) any           { return c.real().Value(key) }

func (c *deadlineContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = c.make()
		if c.closed {
			c.stop()
		}
	}
	return c.timed
}

func (c *deadlineContext) make() (context.Context, context.CancelFunc) {
	if c.deadline.IsZero() {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), c.deadline)
}

func (c *deadlineContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.stop != nil {
		c.stop()
	}
}
