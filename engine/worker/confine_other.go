//go:build !linux

package worker

import "errors"

// bound makes a worker fail that could not be confined.
func bound(assignment) error { return errors.New("worker processes need Linux") }

func confine(grants) Confinement { return Confinement{} }
