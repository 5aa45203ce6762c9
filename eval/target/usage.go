package target

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wasmwhisk/internal/ram"
)

// usage is what a process and all that it started have used.
type usage struct {
	resident int64 // bytes, shared pages counted once
	ticks    int64 // of processor time
}

// usageOf reads /proc, which Linux has. A process that ends meanwhile counts as
// far as it was read.
func usageOf(pid int) (usage, error) {
	parents, err := processes()
	if err != nil {
		return usage{}, fmt.Errorf("read processes: %w", err)
	}
	var sum usage
	for _, id := range family(pid, parents) {
		sum.resident += ram.Proportional(id)
		sum.ticks += parents[id].ticks
	}
	return sum, nil
}

// process is what /proc says of one.
type process struct {
	parent int
	ticks  int64
}

func processes() (map[int]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no /proc here: %w", os.ErrNotExist)
	}
	found := map[int]process{}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if id, p, ok := parseStat(line); ok {
			found[id] = p
		}
	}
	return found, nil
}

// parseStat reads a line of proc_pid_stat(5): the name, in parentheses, may hold
// anything.
func parseStat(line []byte) (id int, p process, ok bool) {
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return 0, process{}, false
	}
	fields := strings.Fields(string(line[end+1:]))
	const parent, user, system = 1, 11, 12 // counted from the state on
	if len(fields) <= system {
		return 0, process{}, false
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(line[:begin])))
	if err != nil {
		return 0, process{}, false
	}
	p.parent, _ = strconv.Atoi(fields[parent])
	for _, i := range []int{user, system} {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		p.ticks += n
	}
	return id, p, true
}

// family is a process and all below it.
func family(pid int, all map[int]process) []int {
	members := []int{pid}
	for i := 0; i < len(members); i++ {
		for id, p := range all {
			if p.parent == members[i] {
				members = append(members, id)
			}
		}
	}
	return members
}

// settle waits until a process and its family have used next to nothing for a
// while, for a minute at most.
func settle(ctx context.Context, pid int) error {
	const (
		pause  = 30 * time.Millisecond
		idle   = 0    // ticks of 10 ms in a pause
		quiet  = 2    // pauses
		enough = 2000 // a minute
	)
	last, calm := int64(-1), 0
	for range enough {
		now, err := usageOf(pid)
		if err != nil {
			return err
		}
		if last >= 0 && now.ticks-last <= idle {
			calm++
		} else {
			calm = 0
		}
		if last = now.ticks; calm == quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return nil
}
