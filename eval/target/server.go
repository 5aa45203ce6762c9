package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a process has to listen, and to end when it is asked to.
const (
	startTime = 30 * time.Second
	stopTime  = 10 * time.Second
)

// UnavailableError is why this machine cannot have a target.
type UnavailableError struct {
	Target string
	Err    error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("%s: %v", e.Target, e.Err) }
func (e *UnavailableError) Unwrap() error { return e.Err }

// server is a process that listens at an address of its own choice and says so in
// a line with its URL. It leads a process group, so that an interrupt from a
// terminal is left to this program.
type server struct {
	url  string
	cmd  *exec.Cmd
	said *tail
	done chan struct{} // closed when it has ended
}

// startServer waits until the process has said where it listens.
func startServer(ctx context.Context, cmd *exec.Cmd) (*server, error) {
	s := &server{cmd: cmd, said: &tail{}, done: make(chan struct{})}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.cmd.Stdout, s.cmd.Stderr = in, in
	err = s.cmd.Start()
	_ = in.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	urls := make(chan string, 1)
	go s.listen(out, urls)
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case s.url = <-urls:
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("ended before it listened: %s", s.said)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("does not listen: %w: %s", context.Cause(ctx), s.said), s.stop())
	}
}

// listen reads what the process says until it has ended.
func (s *server) listen(out io.ReadCloser, urls chan<- string) {
	defer close(s.done)
	address := regexp.MustCompile(`listening.*(http://[0-9.:]+)`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.said.add(lines.Text())
		if found := address.FindStringSubmatch(lines.Text()); found != nil {
			select {
			case urls <- found[1]:
			default:
			}
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line longer than a scanner takes
	_ = out.Close()
	_ = s.cmd.Wait() // how it ended is told by what it said
}

// stop ends the process and all of its group.
func (s *server) stop() error {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	select {
	case <-s.done:
	case <-time.After(stopTime):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
	return nil
}

// Settle waits until the process and those below it have nothing to do.
func (s *server) Settle(ctx context.Context) error { return settle(ctx, s.cmd.Process.Pid) }

// Resident is that of the process and those below it.
func (s *server) Resident(context.Context) (int64, error) {
	u, err := usageOf(s.cmd.Process.Pid)
	return u.resident, err
}

// tail keeps the last lines that a process said.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	const most = 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	t.lines = t.lines[max(0, len(t.lines)-most):]
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
