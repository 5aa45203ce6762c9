//go:build !wasip1

package main

import "time"

func get() { time.Sleep(300 * time.Millisecond) }
