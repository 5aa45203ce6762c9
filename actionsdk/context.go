package actionsdk

import (
	"context"
	"fmt"
	"os"
	"strconv"
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
func newContext(getenv func(string) string) (Context, context.CancelFunc) {
	ctx, cancel := withDeadline(getenv("__OW_DEADLINE"))
	return Context{
		Context:       ctx,
		ActivationID:  getenv("__OW_ACTIVATION_ID"),
		TransactionID: getenv("__OW_TRANSACTION_ID"),
		Namespace:     getenv("__OW_NAMESPACE"),
		ActionName:    getenv("__OW_ACTION_NAME"),
		ActionVersion: getenv("__OW_ACTION_VERSION"),
		APIHost:       getenv("__OW_API_HOST"),
		APIKey:        getenv("__OW_API_KEY"),
	}, cancel
}

// withDeadline takes the time in milliseconds since 1970, in text. What is none
// sets no deadline: the host keeps its own.
func withDeadline(text string) (context.Context, context.CancelFunc) {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return context.WithCancel(context.Background())
	}
	c := &deadlineContext{deadline: time.UnixMilli(ms)}
	return c, c.cancel
}

// deadlineContext makes its timer when somebody wants to wait for it: most
// actions never do, and it costs a module more than the rest of its context.
type deadlineContext struct {
	deadline time.Time

	mu     sync.Mutex
	timed  context.Context //nolint:containedctx // it is what this one stands for
	stop   context.CancelFunc
	closed bool
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }
func (c *deadlineContext) Done() <-chan struct{}       { return c.real().Done() }
func (c *deadlineContext) Err() error                  { return c.real().Err() }
func (c *deadlineContext) Value(key any) any           { return c.real().Value(key) }

func (c *deadlineContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = context.WithDeadline(context.Background(), c.deadline)
		if c.closed {
			c.stop()
		}
	}
	return c.timed
}

func (c *deadlineContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.stop != nil {
		c.stop()
	}
}
