package daemon

import (
	"errors"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
)

// tenthsOfMemory are how much of the cgroup's memory the Go runtime may use before it collects garbage more often than it
// would. The rest is for what the runtime does not count, and for what is allocated while it collects.
const tenthsOfMemory = 9

// limitMemory tells the Go runtime how much memory the cgroups of this process allow, so that a burst, such as the first list
// of many objects, costs time and not the process. It does nothing if the environment
// sets GOMEMLIMIT, to "off" or a size. The limit of the cgroup is read once.
func limitMemory(logger logr.Logger, ofCgroup func() (uint64, error)) {
	if env := os.Getenv("GOMEMLIMIT"); env != "" {
		logger.Info("memory limit is that of the environment", "GOMEMLIMIT", env)
		return
	}
	whole, err := ofCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		logger.V(1).Info("no memory limit: no cgroup sets one")
	case err != nil: // Nothing that should keep the daemon from its work.
		logger.Error(err, "reading the memory limit of the cgroup")
	default:
		limit := int64(min(whole/10*tenthsOfMemory, math.MaxInt64))
		debug.SetMemoryLimit(limit)
		logger.Info("memory limit is that of the cgroup", "limitBytes", limit, "cgroupBytes", whole)
	}
}
