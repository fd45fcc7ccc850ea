package daemon

import (
	"errors"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
)

// tenthsOfMemory is the share of the cgroup's memory that the Go runtime may use before it collects
// garbage more often. The rest is for memory that the runtime does not count, and for what is
// allocated during a collection.
const tenthsOfMemory = 9

// limitMemory sets the memory limit of the Go runtime from that of this process's cgroups. A burst,
// such as the first list of many objects, then costs time and not the process. If the environment
// sets GOMEMLIMIT, to "off" or a size, it changes nothing. ofCgroup is called once: later changes
// of the cgroup have no effect.
func limitMemory(logger logr.Logger, ofCgroup func() (uint64, error)) {
	if env := os.Getenv("GOMEMLIMIT"); env != "" {
		logger.Info("memory limit is that of the environment", "GOMEMLIMIT", env)
		return
	}
	whole, err := ofCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		logger.V(1).Info("no memory limit: no cgroup sets one")
	case err != nil: // No reason not to run.
		logger.Error(err, "reading the memory limit of the cgroup")
	default:
		limit := int64(min(whole/10*tenthsOfMemory, math.MaxInt64))
		debug.SetMemoryLimit(limit)
		logger.Info("memory limit is that of the cgroup", "limitBytes", limit, "cgroupBytes", whole)
	}
}
