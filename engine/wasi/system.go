package wasi

import (
	"errors"
	"io"
	"os"
	"time"
)

// Config says what one activation can reach. The zero value gives empty input,
// discards output, and mounts nothing.
type Config struct {
	Args []string
	Env  []string // each "KEY=value"

	// Stdin is what the guest reads on fd 0; nil is empty. A guest that waits
	// for an [os.File] ends with its context. A reader with a method Len() int
	// is taken to hold its bytes in memory and is read directly. Any other
	// reader is read by a goroutine, one read at a time: a read that outlasts
	// the activation ends when the reader lets it, and what it brings is lost.
	Stdin io.Reader

	// Ready, unless it is nil, says that there is no input yet: it ends a guest
	// that reads fd 0 into no buffers, and comes back from its call. By that a
	// command says that it has started, where it can be asked otherwise, too. A
	// guest that wants bytes ends with another error.
	Ready error

	// Hold, unless it is nil, comes back from the host function that reads whenever
	// the guest reads fd 0, for the engine to hold the guest there. Such a guest must
	// not wait: Now need not go on by itself. One that does ends with another error.
	Hold error

	// Stdout and Stderr take what the guest writes on fd 1 and 2; nil discards
	// it. They should not block: the guest cannot be stopped while they do. An
	// [engine.LimitError] of theirs stops the guest and comes back from its
	// call; any other error reaches it as an errno.
	Stdout, Stderr io.Writer

	// Result takes what the guest writes on fd 3, like Stdout. Nil means that
	// fd 3 is the first mount, or closed if there is none.
	Result io.Writer

	// Mounts are the directories that the guest finds open, in this order.
	Mounts []Mount

	// Now is the wall-clock time; nil means the real time.
	Now func() time.Time

	// Random gives random bytes; nil means those of crypto/rand.
	Random io.Reader
}

// Mount lets a guest use a directory of the host.
type Mount struct {
	Guest string // its path in the guest, such as "/data"

	// Root is the directory. It may be shared by any number of systems, must
	// stay open for as long as they live, and is closed by its owner.
	Root *os.Root

	Access Access
}

// Access is what a guest may do with a mount.
type Access uint8

// The accesses. To write includes to read.
const (
	ReadOnly Access = iota
	ReadWrite
)

// maxFiles bounds the descriptors of one system. One of them can take two of
// the host's.
const maxFiles = 256

// System is what one activation can reach, and what it has opened. Like the
// guest it serves one call at a time.
type System struct {
	config  Config
	clock   clock
	stdin   input
	stdout  output
	stderr  output
	result  output
	fds     []descriptor
	initial [6]descriptor // where fds begins
	called  uint64        // by index of function
}

// NewSystem returns the system of one activation. It opens nothing.
func NewSystem(config Config) *System {
	s := new(System)
	s.Reset(config)
	return s
}

// Reset makes a system that was closed, or the zero System, that of another
// activation: nothing of the last one is left. Nobody may still use it for that.
func (s *System) Reset(config Config) {
	*s = System{
		config: config,
		clock:  clock{now: config.Now},
		stdin:  input{reader: config.Stdin},
		stdout: output{writer: config.Stdout},
		stderr: output{writer: config.Stderr},
		result: output{writer: config.Result},
	}
	s.clock.born = s.clock.monotonic()
	s.fds = append(s.initial[:0],
		descriptor{file: &s.stdin, base: rightsInput},
		descriptor{file: &s.stdout, base: rightsOutput},
		descriptor{file: &s.stderr, base: rightsOutput})
	if config.Result != nil {
		s.fds = append(s.fds, descriptor{file: &s.result, base: rightsOutput})
	}
	for i := range config.Mounts {
		s.mount(&s.config.Mounts[i])
	}
}

func (s *System) mount(m *Mount) {
	s.fds = append(s.fds, descriptor{
		file:       &directory{root: m.Root, mount: m},
		base:       rightsDirectory,
		inheriting: rightsAll,
		preopened:  true,
	})
}

// Close closes what the guest has left open. The streams and roots of the
// configuration stay open.
func (s *System) Close() error {
	var failed error
	for i := range s.fds {
		if f := s.fds[i].file; f != nil {
			failed = errors.Join(failed, f.close())
		}
	}
	s.fds = nil
	return failed
}
