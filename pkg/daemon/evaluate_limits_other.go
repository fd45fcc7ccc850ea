//go:build !linux

package daemon

import (
	"os/exec"
	"runtime/debug"
	"time"
)

func dieWithParent(*exec.Cmd) {}

// limitProcess leaves it to the deadline, and to a look at the heap from time to time, to end an
// evaluation that takes too much.
func limitProcess(_ time.Duration, memory uint64) error {
	debug.SetMemoryLimit(int64(memory / 10 * 8))
	return nil
}

// memoryLeft knows of no limits here.
func memoryLeft() (uint64, error) { return noMemoryLimit, nil }
