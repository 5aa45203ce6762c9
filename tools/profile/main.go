// Command profile merges CPU profiles into the one that the compiler optimises the
// executor by. What it keeps of them is the same on every machine, if their programs
// were built with -trimpath.
//
//	go run ./profile MERGED PROFILE...
package main

import (
	"log"
	"os"

	"github.com/google/pprof/profile"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: profile MERGED PROFILE...")
	}
	if err := merge(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal("merge profiles: ", err)
	}
}

func merge(into string, files []string) error {
	var all []*profile.Profile
	for _, file := range files {
		p, err := read(file)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return err
	}
	for _, m := range merged.Mapping {
		m.File, m.BuildID = "", ""
	}
	out, err := os.Create(into)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := merged.Write(out); err != nil {
		return err
	}
	return out.Close()
}

func read(file string) (*profile.Profile, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return profile.Parse(f)
}
