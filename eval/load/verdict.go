package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// failure says in few words why a request is no success, so that equal reasons
// can be counted.
func failure(r *request, got answer, err error) string {
	var dns *net.DNSError
	switch {
	case err == nil && r.succeeded(got.status):
		return ""
	case err == nil:
		return fmt.Sprintf("status %d", got.status)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.Is(err, syscall.EMFILE):
		return "too many open files"
	case errors.As(err, &dns):
		return "no such host"
	}
	return "malformed answer"
}

// saturated tells whether a result says more of the generator than of the
// target.
//
// In an open plan nothing of the target's keeps the generator from beginning an
// operation but the processors that both want. It is saturated if one in a
// hundred operations began more than a millisecond late, and that is more than a
// tenth of how long the slowest hundredth took.
//
// In a closed plan latency and throughput are those of both together. It is
// saturated if the generator alone was busy for more than half of the time that
// as many processors have as its clients could use: then the target did less
// than the generator.
func saturated(p Plan, res *Result) bool {
	if p.Clients > 0 {
		return res.Busy > float64(min(p.Clients, runtime.NumCPU()))/2
	}
	late := Percentile99(res.Samples, func(s Sample) time.Duration { return s.Late })
	took := Percentile99(res.Samples, func(s Sample) time.Duration { return s.Took })
	return late > time.Millisecond && late > took/10
}

// Percentile99 is what one in a hundred samples reaches: 0 of none.
func Percentile99(samples []Sample, of func(Sample) time.Duration) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	values := make([]time.Duration, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)*99/100]
}
