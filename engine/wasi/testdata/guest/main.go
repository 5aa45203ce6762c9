// Guest is a WASI command that uses what a system offers, as Go programs do. Its
// first argument says which part.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var parts = map[string]func(args []string) error{
	"args":     printArgs,
	"echo":     echo,
	"exit":     exit,
	"files":    files,
	"root":     rooted,
	"open":     open,
	"result":   result,
	"sleep":    sleep,
	"timeouts": timeouts,
}

func main() {
	part, ok := parts[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "no part", os.Args[1])
		os.Exit(2)
	}
	if err := part(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func printArgs(args []string) error {
	env := os.Environ()
	slices.Sort(env)
	fmt.Println(strings.Join(args, "|"))
	fmt.Println(strings.Join(env, "|"))
	return nil
}

func echo([]string) error {
	_, err := io.Copy(os.Stdout, os.Stdin)
	return err
}

func exit(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

// files works its way through a directory.
func files(args []string) error {
	dir := args[0]
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.MkdirAll(path("a/b"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path("a/b/f"), []byte("hello "), 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path("a/b/f"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("world"); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(path("a/b/f"), path("a/g")); err != nil {
		return err
	}
	if err := os.Symlink("g", path("a/l")); err != nil {
		return err
	}
	text, err := os.ReadFile(path("a/l"))
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", text)
	if err := os.Chtimes(path("a/g"), time.Unix(1, 0), time.Unix(2, 0)); err != nil {
		return err
	}
	if err := list(path("a")); err != nil {
		return err
	}
	return os.RemoveAll(path("a"))
}

func list(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			fmt.Println(e.Name() + "/")
			continue
		}
		fmt.Println(e.Name(), e.Type(), info.Size())
	}
	return nil
}

// rooted uses a directory by way of os.Root, which opens it piece by piece.
func rooted(args []string) error {
	root, err := os.OpenRoot(args[0])
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("x/y", 0o700); err != nil {
		return err
	}
	if err := root.WriteFile("x/y/f", []byte("through a root"), 0o600); err != nil {
		return err
	}
	text, err := root.ReadFile("x/../x/y/f")
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", text)
	return root.RemoveAll("x")
}

// open prints what comes of opening each path.
func open(args []string) error {
	for _, path := range args {
		f, err := os.Open(path)
		if err != nil {
			fmt.Println(path, "refused")
			continue
		}
		f.Close()
		fmt.Println(path, "opened")
	}
	return nil
}

func result([]string) error {
	_, err := os.NewFile(3, "result").WriteString("the result\n")
	return err
}

func sleep(args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(d)
	if slept := time.Since(start); slept < d {
		return fmt.Errorf("slept %v, wanted %v", slept, d)
	}
	return nil
}

// timeouts runs goroutines that sleep, and waits for all but the one that does so for
// an hour. The others come in either order: on a slow machine both are due at once.
func timeouts([]string) error {
	done := make(chan time.Duration)
	for _, length := range []time.Duration{time.Hour, 20 * time.Millisecond, 40 * time.Millisecond} {
		go func() {
			time.Sleep(length)
			done <- length
		}()
	}
	fmt.Println(<-done + <-done)
	return nil
}
