//go:build !linux && !darwin

package exec

import (
	"errors"
	"os/exec"
)

// supported is false where a program and its children cannot be ended together. newHandler says so.
const supported = false

// group is the process group of a running program. There is none on this system.
type group struct{}

func startGroup(*exec.Cmd) (*group, error) { return nil, errors.ErrUnsupported }

func (*group) awaitLeader() {}
func (*group) terminate()   {}
func (*group) kill()        {}
func (*group) reap()        {}

// orphans has nothing to do here.
var orphans orphanReaper

type orphanReaper struct{}

func (orphanReaper) reap() {}
