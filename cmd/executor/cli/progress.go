package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	barWidth = 20
	// barDelay keeps work that is soon done from flickering.
	barDelay  = 200 * time.Millisecond
	clearLine = "\r\x1b[K"
)

// progress tells how far some work has come: in a bar that is drawn over and
// over on a terminal, in lines anywhere else.
type progress struct {
	w     io.Writer
	total int
	began time.Time
	stop  chan struct{} // nil where lines are written
	drawn sync.WaitGroup

	mu       sync.Mutex
	done     int // steps
	doing    string
	since    time.Time
	finished int // steps of work that ended
	closed   bool
}

func newProgress(w io.Writer, total int) *progress {
	p := &progress{w: w, total: total, began: time.Now()}
	if isTerminal(w) {
		p.startBar()
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) startBar() {
	p.stop = make(chan struct{})
	p.drawn.Go(func() {
		tick := time.NewTicker(barDelay / 2)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				p.draw()
			}
		}
	})
}

// step ends the step before it and begins the next.
func (p *progress) step(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doing != "" {
		p.done++
	}
	p.doing, p.since = fmt.Sprintf(format, args...), time.Now()
	if p.stop == nil {
		fmt.Fprintln(p.w, p.doing)
	}
}

// finish ends a piece of work of so many steps, also of one that broke off.
func (p *progress) finish(steps int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished += steps
	p.done, p.doing = p.finished, ""
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.since); p.doing != "" && took >= barDelay {
		full := barWidth * p.done / p.total
		fmt.Fprintf(p.w, "%s[%s%s] %s %.1f s%s", clearLine, strings.Repeat("#", full), strings.Repeat("-", barWidth-full), p.doing, took.Seconds(), p.left())
	}
}

// left tells how long the rest takes if it goes on like this, of work that takes
// longer than a look.
func (p *progress) left() string {
	const look = 5 * time.Second
	took := time.Since(p.began)
	if p.done == 0 || took < look {
		return ""
	}
	rest := took / time.Duration(p.done) * time.Duration(p.total-p.done)
	return fmt.Sprintf(", %s left", rest.Round(time.Second))
}

// close takes the bar away. It may be called twice.
func (p *progress) close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if p.stop == nil || closed {
		return
	}
	close(p.stop)
	p.drawn.Wait()
	fmt.Fprint(p.w, clearLine)
}
