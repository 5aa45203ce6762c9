package result

import (
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// ThisMachine tells what this process runs on. What a system without /proc does
// not say stays empty.
func ThisMachine() Machine { return probe(os.DirFS("/proc")) }

func probe(proc fs.FS) Machine {
	return Machine{
		OS:          runtime.GOOS,
		Arch:        runtime.GOARCH,
		Kernel:      strings.TrimSpace(content(proc, "sys/kernel/osrelease")),
		Processor:   field(content(proc, "cpuinfo"), "model name"),
		Cores:       runtime.NumCPU(),
		MemoryBytes: kibibytes(field(content(proc, "meminfo"), "MemTotal")),
		Load:        firstNumber(content(proc, "loadavg")),
	}
}

func content(proc fs.FS, name string) string {
	data, err := fs.ReadFile(proc, name)
	if err != nil {
		return ""
	}
	return string(data)
}

// field is the first value of a key in lines of "key : value".
func field(text, key string) string {
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kibibytes(text string) int64 { return int64(firstNumber(text)) << 10 }

func firstNumber(text string) float64 {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return v
}
